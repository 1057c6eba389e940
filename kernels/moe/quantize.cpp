#include "moe/quantize.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace ridge::kernels::moe {
namespace {

std::size_t element_index(int row, int column, int columns) {
  return static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) +
         static_cast<std::size_t>(column);
}

Quantized quantize(std::span<const float> values, int rows, int columns, int scale_rows) {
  if (columns % kScaleBlock != 0)
    throw std::invalid_argument("quantization needs a multiple of 128 columns");
  if (values.size() != element_index(rows, 0, columns))
    throw std::invalid_argument("quantization: the values do not fill rows x columns");
  const int blocks = columns / kScaleBlock;
  Quantized out{.rows = rows,
                .columns = columns,
                .scale_rows = scale_rows,
                .values = std::vector<E4m3>(values.size()),
                .scales = {}};
  for (int first_row = 0; first_row < rows; first_row += scale_rows) {
    const int end_row = std::min(rows, first_row + scale_rows);
    for (int block = 0; block < blocks; ++block) {
      const int first = block * kScaleBlock;
      float maximum = 0.0f;
      for (int row = first_row; row < end_row; ++row)
        for (int column = first; column < first + kScaleBlock; ++column)
          maximum = std::fmax(maximum, std::fabs(values[element_index(row, column, columns)]));
      const float scale = block_scale(maximum);
      const float inverse = 1.0f / scale;
      out.scales.push_back(scale);
      for (int row = first_row; row < end_row; ++row)
        for (int column = first; column < first + kScaleBlock; ++column)
          out.values[element_index(row, column, columns)] =
              to_e4m3(values[element_index(row, column, columns)] * inverse);
    }
  }
  return out;
}

}  // namespace

float Quantized::scale(int row, int column) const {
  return scales[element_index(row / scale_rows, column / kScaleBlock, columns / kScaleBlock)];
}

double Quantized::dequantized(int row, int column) const {
  return static_cast<double>(to_float(values[element_index(row, column, columns)])) *
         static_cast<double>(scale(row, column));
}

Quantized quantize_1x128(std::span<const float> values, int rows, int columns) {
  return quantize(values, rows, columns, 1);
}

Quantized quantize_128x128(std::span<const float> values, int rows, int columns) {
  return quantize(values, rows, columns, kScaleBlock);
}

}  // namespace ridge::kernels::moe
