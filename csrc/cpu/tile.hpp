#pragma once

#include <cstdint>

namespace pyredund::cpu {

struct Tile {
  std::int64_t row_begin, row_end;
  std::int64_t column_begin, column_end;
  bool triangle;  // rows and columns are the same: only pairs with row < column count
};

}  // namespace pyredund::cpu
