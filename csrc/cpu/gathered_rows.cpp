#include "cpu/gathered_rows.hpp"

#include <algorithm>

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kOften = 256;  // rows between two looks at the watch

}  // namespace

void gather_rows(MatrixView rows, const std::int32_t* which, std::int64_t count, float* out, const Watch& watch) {
  const ScratchFile* const file = ScratchFile::at(rows.data);
  for (std::int64_t i = 0; i < count; ++i) {
    if (i % kOften == 0) check(watch);
    float* const to = out + i * rows.stride;
    if (file != nullptr) {  // scattered reads through the map would make many more pages resident
      file->read(rows.row(which[i]), rows.stride * static_cast<std::int64_t>(sizeof(float)), to);
    } else {
      std::copy_n(rows.row(which[i]), rows.stride, to);
    }
  }
}

GatheredRows::GatheredRows(MatrixView rows, const std::int32_t* which, std::int64_t count, const Watch& watch) {
  float* to = nullptr;
  if (const ScratchFile* const file = ScratchFile::at(rows.data)) {
    const std::int64_t bytes = count * rows.stride * static_cast<std::int64_t>(sizeof(float));
    file_ = std::make_unique<ScratchFile>(file->space(), bytes, watch);
    to = static_cast<float*>(file_->data());
  } else {
    memory_.resize(static_cast<std::size_t>(count * rows.stride));
    to = memory_.data();
  }
  gather_rows(rows, which, count, to, watch);
  view_ = {to, count, rows.dim, rows.stride};
}

}  // namespace pyredund::cpu
