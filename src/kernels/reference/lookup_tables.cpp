#include "kernels/lookup_tables.hpp"

#include "kernels/sets.hpp"

namespace qtrain::kernels::reference {
namespace {

constexpr std::size_t kGroup = 4;     ///< channels
constexpr std::size_t kEntries = 16;  ///< of a table
constexpr std::size_t kBlock = 16;    ///< outputs
constexpr std::size_t kWordGroups = 4;

/// The tables of one pixel; index(c) is that of channel c.
template <class Index>
void fill_pixel(const TableLayout& l, unsigned char* tables, const Index& index) {
  for (std::size_t group = 0; group < l.column_bytes / kEntries; ++group)
    for (std::size_t e = 0; e < kEntries; ++e) {
      int sum = 0;
      for (std::size_t j = 0; j < kGroup; ++j) {
        const std::size_t channel = kGroup * group + j;
        const int x = channel < l.channels ? index(channel) : 0;
        sum += (e >> j & 1) != 0 ? l.top - x : x;
      }
      tables[group * kEntries + e] = static_cast<unsigned char>(sum);
    }
}

template <class Code>
void pack(const TableLayout& l, const Code* codes, std::size_t images, unsigned char* tables) {
  for (std::size_t image = 0; image < images; ++image)
    for (std::size_t row = 0; row < l.rows; ++row)
      for (std::size_t column = 0; column < l.columns; ++column, tables += l.column_bytes) {
        const std::size_t y = row - l.padding, x = column - l.padding;  // beyond the image if negative
        const bool inside = y < l.height && x < l.width;
        const Code* pixel = codes + ((image * l.height + y) * l.width + x) * l.channels;
        fill_pixel(l, tables, [&](std::size_t channel) {
          return inside ? ((static_cast<int>(pixel[channel]) - l.lowest) & 0xFF) >> l.step_bits : 0;
        });
      }
}

/// One output of the window at `corner`, in row y and column x.
int output(const TablePlan& plan, const unsigned char* corner, std::size_t y, std::size_t x, std::size_t o) {
  const std::size_t within = o % kBlock, place = within < 8 ? 2 * within : 2 * (within - 8) + 1;
  const unsigned char* entries = plan.entries + o / kBlock * plan.word_count * kWordGroups * kBlock + place;
  int acc = 0;
  for (std::size_t k = 0; k < plan.word_count; ++k)
    for (std::size_t group = 0; group < kWordGroups; ++group, entries += kBlock)
      acc += corner[plan.word_offsets[k] + group * kEntries + *entries];
  return (acc << plan.layout.step_bits) + plan.bias[plan.row_classes[y] + plan.column_classes[x] + o];
}

template <class Value>
void convolve(const TablePlan& plan, const unsigned char* tables, std::size_t images, std::size_t first_row,
              std::size_t last_row, Value* dst) {
  const TableLayout& l = plan.layout;
  const std::size_t row_size = plan.out_width * plan.outputs;
  for (std::size_t image = 0; image < images; ++image)
    for (std::size_t y = first_row; y < last_row; ++y) {
      const unsigned char* row = tables + image * l.image_bytes + y * plan.stride * l.row_bytes;
      Value* to = dst + (image * plan.out_height + y - first_row) * row_size;
      for (std::size_t x = 0; x < plan.out_width; ++x)
        for (std::size_t o = 0; o < plan.outputs; ++o)
          *to++ = static_cast<Value>(output(plan, row + x * plan.stride * l.column_bytes, y, x, o));
    }
}

}  // namespace

void fill_lookup_tables(Kernels& set) {
  set.pack_byte_tables = pack<unsigned char>;
  set.pack_float_tables = pack<float>;
  set.table_convolution = convolve<float>;
  set.table_convolution_shorts = convolve<short>;
}

}  // namespace qtrain::kernels::reference
