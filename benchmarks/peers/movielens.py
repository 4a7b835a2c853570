"""Reads MovieLens-1M or -100K and splits it, for the peers: columns of numpy, nothing else.

The experiment as everybody runs it here: six features, the vocabularies of all ratings, one shuffle
that splits them into train and test, a second one of the training rows whose consecutive pieces are
the batches. The shuffles are numpy's, so the rows differ from those of dcn_worker; their numbers do
not.
"""

import dataclasses
import pathlib

import numpy as np

STRING_FEATURES = ["movie_id", "user_id", "user_zip_code", "user_occupation_text"]
INTEGER_FEATURES = ["user_gender", "bucketized_user_age"]
FEATURES = STRING_FEATURES + INTEGER_FEATURES
LABEL = "user_rating"
AGE_BUCKETS = np.array([1, 18, 25, 35, 45, 50, 56])
SPLIT_SEED = 42
BATCH_ROWS = 8192


@dataclasses.dataclass
class Feature:
    """One column, encoded: row r has the value vocabulary[codes[r]]."""

    vocabulary: np.ndarray  # sorted, bytes or int64
    codes: np.ndarray  # int64, by rating

    def take(self, rows):
        return self.vocabulary[self.codes[rows]]


@dataclasses.dataclass
class MovieLens:
    features: dict  # name -> Feature
    labels: np.ndarray  # float32
    train: np.ndarray  # ratings in batch order
    test: np.ndarray


def _read_users(text, separator, order):
    """users' columns by name; `order` names the fields of a line."""
    fields = [line.rstrip("\r").split(separator) for line in text.split("\n") if line.strip()]
    columns = dict(zip(order, map(np.array, zip(*fields))))
    ages = columns["age"].astype(np.int64)
    return {
        "id": columns["id"].astype(np.int64),
        "user_zip_code": columns["zip"].astype(bytes),
        "user_occupation_text": columns["occupation"].astype(bytes),
        "user_gender": (columns["gender"] == "M").astype(np.int64),
        "bucketized_user_age": AGE_BUCKETS[np.searchsorted(AGE_BUCKETS, ages, side="right") - 1],
    }


def _read_files(folder):
    folder = pathlib.Path(folder)
    if (folder / "ratings.dat").exists():
        ratings = (folder / "ratings.dat").read_text("latin-1").replace("::", " ")
        users = _read_users(
            (folder / "users.dat").read_text("latin-1"), "::",
            ["id", "gender", "age", "occupation", "zip"])
    elif (folder / "u.data").exists():
        ratings = (folder / "u.data").read_text("latin-1")
        users = _read_users(
            (folder / "u.user").read_text("latin-1"), "|",
            ["id", "age", "gender", "occupation", "zip"])
    else:
        raise SystemExit(f"{folder}: neither ratings.dat (MovieLens-1M) nor u.data (-100K)")
    return np.fromstring(ratings, sep=" ", dtype=np.int64).reshape(-1, 4), users


def _encode(values):
    vocabulary, codes = np.unique(values, return_inverse=True)
    return Feature(vocabulary, codes.astype(np.int64))


def load(folder, train_fraction):
    """The data set of the folder, shuffled and split with the seed that all runs share."""
    ratings, users = _read_files(folder)
    user_row = np.zeros(users["id"].max() + 1, np.int64)
    user_row[users["id"]] = np.arange(len(users["id"]))
    user_of_rating = user_row[ratings[:, 0]]

    features = {}
    for name in FEATURES:
        if name == "movie_id" or name == "user_id":
            ids = _encode(ratings[:, 1 if name == "movie_id" else 0])
            texts = _encode(ids.vocabulary.astype(bytes))  # sorted as text
            features[name] = Feature(texts.vocabulary, texts.codes[ids.codes])
        else:
            of_users = _encode(users[name])
            rated = _encode(of_users.codes[user_of_rating])
            features[name] = Feature(of_users.vocabulary[rated.vocabulary], rated.codes)

    count = len(ratings)
    random = np.random.default_rng(SPLIT_SEED)
    shuffled = random.permutation(count)
    train_count = int(round(train_fraction * count, 6))
    test_count = int(round((1 - train_fraction) * count, 6))
    train = random.permutation(shuffled[:train_count])
    test = shuffled[train_count:train_count + test_count]
    return MovieLens(features, ratings[:, 2].astype(np.float32), train, test)
