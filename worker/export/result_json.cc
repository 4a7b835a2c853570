// RunResult to JSON and back. The fields stand once, in FieldsOf, for both directions.

#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "common/file/json.h"
#include "worker/export/result.h"

namespace dcn::output {
namespace {

using nlohmann::json;

/// FieldsOf<T>::Visit(value, visit) calls visit("name", value.name) for each field of a struct.
template <typename T>
struct FieldsOf;

template <>
struct FieldsOf<EpochResult> {
  static void Visit(auto& epoch, auto&& visit) {
    visit("train_loss", epoch.train_loss);
    visit("seconds", epoch.seconds);
  }
};

template <>
struct FieldsOf<DataSummary> {
  static void Visit(auto& data, auto&& visit) {
    visit("name", data.name);
    visit("rows", data.rows);
    visit("train_rows", data.train_rows);
    visit("test_rows", data.test_rows);
    visit("noise_floor_rmse", data.noise_floor_rmse);
  }
};

template <>
struct FieldsOf<MachineSummary> {
  static void Visit(auto& machine, auto&& visit) {
    visit("cpu_model", machine.cpu_model);
    visit("cores", machine.cores);
    visit("memory_bytes", machine.memory_bytes);
  }
};

template <>
struct FieldsOf<CheckpointSummary> {
  static void Visit(auto& checkpoints, auto&& visit) {
    visit("written", checkpoints.written);
    visit("failed", checkpoints.failed);
    visit("skipped", checkpoints.skipped);
    visit("bytes", checkpoints.bytes);
    visit("seconds", checkpoints.seconds);
    visit("longest_stall_seconds", checkpoints.longest_stall_seconds);
  }
};

template <>
struct FieldsOf<RunResult> {
  static void Visit(auto& result, auto&& visit) {
    visit("model", result.model);
    visit("seed", result.seed);
    visit("test_rmse", result.test_rmse);
    visit("train_seconds", result.train_seconds);
    visit("wall_seconds", result.wall_seconds);
    visit("startup_seconds", result.startup_seconds);
    visit("train_rows_per_second", result.train_rows_per_second);
    visit("steps", result.steps);
    visit("epochs", result.epochs);
    visit("loss_curve", result.loss_curve);
    visit("resumed_from_step", result.resumed_from_step);
    visit("checkpoints", result.checkpoints);
    visit("parameter_count", result.parameter_count);
    visit("parameter_digest", result.parameter_digest);
    visit("workers", result.workers);
    visit("servers", result.servers);
    visit("shards", result.shards);
    visit("threads", result.threads);
    visit("precision", result.precision);
    visit("engine", result.engine);
    visit("slice_rows", result.slice_rows);
    visit("peak_rss_bytes", result.peak_rss_bytes);
    visit("bytes_sent", result.bytes_sent);
    visit("bytes_received", result.bytes_received);
    visit("data", result.data);
    visit("configuration", result.configuration);
    visit("machine", result.machine);
    visit("versions", result.versions);
  }
};

/// Turns values into JSON. Overloads of one class, so that each sees all the others.
class Writer {
 public:
  static json Write(const std::string& value) { return value; }
  static json Write(std::uint64_t value) { return value; }
  static json Write(int value) { return value; }
  static json Write(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }
  static json Write(const json& value) { return value; }
  static json Write(const std::map<std::string, std::string>& value) { return value; }
  static json Write(const LossPoint& point) {
    return json::array({Write(point.step), Write(point.loss)});
  }
  template <typename T>
  static json Write(const std::vector<T>& values) {
    json array = json::array();
    for (const T& value : values) array.push_back(Write(value));
    return array;
  }
  template <typename Struct>
  static json WriteFields(const Struct& value) {
    json object = json::object();
    FieldsOf<Struct>::Visit(
        value, [&object](const char* name, const auto& field) { WriteField(name, field, object); });
    return object;
  }
  static json Write(const EpochResult& value) { return WriteFields(value); }
  static json Write(const DataSummary& value) { return WriteFields(value); }
  static json Write(const MachineSummary& value) { return WriteFields(value); }
  static json Write(const CheckpointSummary& value) { return WriteFields(value); }

 private:
  template <typename T>
  static void WriteField(const char* name, const T& field, json& object) {
    object[name] = Write(field);
  }
  template <typename T>
  static void WriteField(const char* name, const std::optional<T>& field, json& object) {
    if (field) object[name] = Write(*field);
  }
};

/// Takes values out of JSON, each kind strictly. where: the path to the value, for the message.
class Reader {
 public:
  static Status Read(const json& value, const std::string& where, std::string& out) {
    if (!value.is_string()) return Expected(where, "a text", value);
    out = value.get<std::string>();
    return {};
  }
  static Status Read(const json& value, const std::string& where, std::uint64_t& out) {
    if (!value.is_number_unsigned()) return Expected(where, "an integer, 0 or above", value);
    out = value.get<std::uint64_t>();
    return {};
  }
  static Status Read(const json& value, const std::string& where, int& out) {
    if (!value.is_number_unsigned() ||
        value.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<int>::max()}) {
      return Expected(where, "an integer from 0 to 2147483647", value);
    }
    out = value.get<int>();
    return {};
  }
  static Status Read(const json& value, const std::string& where, double& out) {
    if (!value.is_number() && !value.is_null()) return Expected(where, "a number or null", value);
    out = value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
    return {};
  }
  static Status Read(const json& value, const std::string& where, json& out) {
    if (!value.is_object()) return Expected(where, "an object", value);
    out = value;
    return {};
  }
  static Status Read(const json& value, const std::string& where,
                     std::map<std::string, std::string>& out) {
    if (!value.is_object()) return Expected(where, "an object of texts", value);
    for (const auto& [key, text] : value.items()) {
      DCN_RETURN_IF_ERROR(Read(text, where + "." + key, out[key]));
    }
    return {};
  }
  static Status Read(const json& value, const std::string& where, LossPoint& out) {
    if (!value.is_array() || value.size() != 2) return Expected(where, "[step, loss]", value);
    DCN_RETURN_IF_ERROR(Read(value[0], where + "[0]", out.step));
    return Read(value[1], where + "[1]", out.loss);
  }
  template <typename T>
  static Status Read(const json& value, const std::string& where, std::vector<T>& out) {
    if (!value.is_array()) return Expected(where, "an array", value);
    out.resize(value.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      DCN_RETURN_IF_ERROR(Read(value[i], fmt::format("{}[{}]", where, i), out[i]));
    }
    return {};
  }
  /// separator: between `where` and a field's name.
  template <typename Struct>
  static Status ReadFields(const json& value, const std::string& where, const char* separator,
                           Struct& out) {
    if (!value.is_object()) return Expected(where, "an object", value);
    Status status;
    FieldsOf<Struct>::Visit(out, [&](const char* name, auto& field) {
      if (status.ok()) status = ReadField(value, where + separator + name, name, field);
    });
    return status;
  }
  static Status Read(const json& value, const std::string& where, EpochResult& out) {
    return ReadFields(value, where, ".", out);
  }
  static Status Read(const json& value, const std::string& where, DataSummary& out) {
    return ReadFields(value, where, ".", out);
  }
  static Status Read(const json& value, const std::string& where, MachineSummary& out) {
    return ReadFields(value, where, ".", out);
  }
  static Status Read(const json& value, const std::string& where, CheckpointSummary& out) {
    return ReadFields(value, where, ".", out);
  }

 private:
  template <typename T>
  static Status ReadField(const json& object, const std::string& where, const char* name, T& out) {
    const auto found = object.find(name);
    if (found == object.end()) {
      return Error(StatusCode::kDataLoss, "{}: this field is missing", where);
    }
    return Read(*found, where, out);
  }
  template <typename T>
  static Status ReadField(const json& object, const std::string& where, const char* name,
                          std::optional<T>& out) {
    const auto found = object.find(name);
    return found == object.end() ? Status() : Read(*found, where, out.emplace());
  }

  static Status Expected(const std::string& where, const char* what, const json& value) {
    return Error(StatusCode::kDataLoss, "{}: expected {}, found {}", where, what,
                 value.is_structured() ? value.type_name() : value.dump());
  }
};

}  // namespace

json ToJson(const RunResult& result) { return Writer::WriteFields(result); }

Result<RunResult> ParseResult(std::string_view text, std::string_view where) {
  DCN_ASSIGN_OR_RETURN(const json document, ParseJson(text, where));
  RunResult result;
  DCN_RETURN_IF_ERROR(Reader::ReadFields(document, std::string(where), ": ", result));
  return result;
}

}  // namespace dcn::output
