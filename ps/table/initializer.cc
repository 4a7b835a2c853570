#include "ps/table/initializer.h"

#include "ps/partition.h"

namespace dcn::ps {

RowInitializer::RowInitializer(const UniformInitializer& options, std::string_view table_name)
    : seed_(MixKey(options.seed) ^ StreamId(table_name)), limit_(options.limit) {}

void RowInitializer::Fill(Key key, std::span<float> out) const {
  RandomStream(seed_, key).FillUniform(limit_, 0, out);
}

}  // namespace dcn::ps
