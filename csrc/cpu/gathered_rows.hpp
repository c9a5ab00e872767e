#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "matrix_view.hpp"
#include "scratch_space.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// Copies rows which[0], which[1], ... of `rows`, stride and all, to `out`.
void gather_rows(MatrixView rows, const std::int32_t* which, std::int64_t count, float* out, const Watch& watch);

// Such a copy, which lies in a scratch file where the rows do.
class GatheredRows {
 public:
  GatheredRows(MatrixView rows, const std::int32_t* which, std::int64_t count, const Watch& watch);

  MatrixView view() const { return view_; }

 private:
  std::vector<float> memory_;
  std::unique_ptr<ScratchFile> file_;
  MatrixView view_;
};

}  // namespace pyredund::cpu
