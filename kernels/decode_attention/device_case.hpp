#pragma once

#include "common/device.hpp"
#include "decode_attention/arguments.hpp"
#include "decode_attention/problem.hpp"
#include "decode_attention/reference.hpp"

#include <cstdint>

namespace ridge::kernels::decode {

/// A problem's inputs on the device, and room for its outputs.
struct DeviceCase {
  DeviceCase(const Problem& problem, const HostInputs& inputs)
      : query(inputs.query),
        key(inputs.key),
        value(inputs.value),
        k_scale(inputs.k_scale),
        v_scale(inputs.v_scale),
        block_table(inputs.block_table),
        kv_lengths(problem.kv_lengths),
        output(static_cast<std::size_t>(problem.batch()) * problem.query_heads *
               problem.value_dim()),
        lse(static_cast<std::size_t>(problem.batch()) * problem.query_heads) {
    arguments.query = query.data();
    arguments.key = key.data();
    arguments.value = problem.latent() ? key.data() : value.data();
    arguments.k_scale = k_scale.data();
    arguments.v_scale = v_scale.data();
    arguments.block_table = block_table.data();
    arguments.block_table_stride = inputs.block_table_stride;
    arguments.cache_pages = inputs.cache_pages;
    arguments.page_log2 = problem.page_log2();
    arguments.output = output.data();
    arguments.output_float = true;
    arguments.lse = lse.data();
    arguments.query_heads = problem.query_heads;
    arguments.kv_heads = problem.kv_heads;
    arguments.softmax_scale = inputs.softmax_scale;
  }

  DeviceBuffer<std::uint16_t> query;
  DeviceBuffer<std::uint8_t> key;
  DeviceBuffer<std::uint8_t> value;
  DeviceBuffer<float> k_scale;
  DeviceBuffer<float> v_scale;
  DeviceBuffer<std::int32_t> block_table;
  DeviceBuffer<std::int32_t> kv_lengths;
  DeviceBuffer<float> output;
  DeviceBuffer<float> lse;
  Arguments arguments;
};

}  // namespace ridge::kernels::decode
