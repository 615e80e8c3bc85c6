#include "dist/exchange.hpp"

#include <algorithm>
#include <numeric>

#include "base/cast.hpp"
#include "base/error.hpp"

namespace qtrain::dist {

void Traffic::add(const Traffic& other) {
  steps += other.steps;
  sent += other.sent;
  sent_in_floats += other.sent_in_floats;
  received += other.received;
  received_in_floats += other.received_in_floats;
}

Exchange::Exchange(Transport& transport, std::vector<Tensor> tensors, const quant::GradientSpec& spec,
                   Protocol protocol, std::uint64_t seed)
    : transport_(transport),
      tensors_(std::move(tensors)),
      quantizer_(spec.make.exchanged ? spec.make.exchanged() : nullptr),
      clip_(spec.clip),
      protocol_(protocol),
      seed_(seed),
      places_(tensors_.size()) {
  const auto lay = [&](bool quantized) {
    for (std::size_t k = 0; k < tensors_.size(); ++k) {
      if ((quantizer_ && tensors_[k].quantized) != quantized) continue;
      const std::size_t size = tensors_[k].gradient.size();
      places_[k] = row_size_;
      row_size_ += size;
      if (!quantized) continue;
      packed_.push_back({.tensor = k,
                         .begin = message_size_,
                         .bytes = quantizer_->message_bytes(size),
                         .memory = memory_size_,
                         .memory_size = quantizer_->memory_size(size)});
      message_size_ += packed_.back().bytes;
      memory_size_ += packed_.back().memory_size;
    }
  };
  lay(false);
  float_size_ = row_size_;
  lay(true);
  const auto local = static_cast<std::size_t>(transport.local());
  rows_.resize(local * row_size_);
  scales_.resize(local * packed_.size());
  memory_.resize(local * memory_size_);
  messages_.resize(static_cast<std::size_t>(transport.workers()) * message_size_);
  count_traffic();
}

void Exchange::put(int worker) {
  for (std::size_t k = 0; k < tensors_.size(); ++k)
    std::ranges::copy(tensors_[k].gradient, row(worker).begin() + static_cast<std::ptrdiff_t>(places_[k]));
}

std::span<std::byte> Exchange::message(int worker, const Packed& packed) {
  return std::span(messages_).subspan(static_cast<std::size_t>(worker) * message_size_ + packed.begin,
                                      packed.bytes);
}

void Exchange::encode(int worker, std::size_t k, double learning_rate, std::int64_t step) {
  const Packed& packed = packed_[k];
  const auto local = static_cast<std::size_t>(worker);
  const int number = transport_.first() + worker;
  if (weights_[static_cast<std::size_t>(number)] == 0)
    return;  // no images: nothing to say, nothing to remember
  const std::span<float> g =
      row(worker).subspan(places_[packed.tensor], tensors_[packed.tensor].gradient.size());
  RandomStream random(seed_, Purpose::stochastic_gradients, tensors_[packed.tensor].index,
                      static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(step));
  quantizer_->encode(
      g,
      {.scale = scales_[local * packed_.size() + k],
       .learning_rate = learning_rate,
       .memory = std::span(memory_).subspan(local * memory_size_ + packed.memory, packed.memory_size)},
      random, message(number, packed));
}

/// Clips, and finds each message's scale.
void Exchange::find_scales() {
  const std::size_t count = packed_.size();
  for (std::size_t worker = 0; worker * count < scales_.size(); ++worker)
    for (std::size_t k = 0; k < count; ++k) {
      const std::size_t tensor = packed_[k].tensor;
      const std::span<float> g =
          row(static_cast<int>(worker)).subspan(places_[tensor], tensors_[tensor].gradient.size());
      const bool silent = weights_[static_cast<std::size_t>(transport_.first()) + worker] == 0;
      quant::clip_gradient(clip_, g);
      scales_[worker * count + k] = silent ? 0 : quantizer_->scale(g);
    }
  if (!quantizer_->shares_scale()) return;
  const std::span<float> shared = std::span(scales_).first(count);
  for (std::size_t i = count; i < scales_.size(); ++i)
    shared[i % count] = std::max(shared[i % count], scales_[i]);
  transport_.largest(shared);
  for (std::size_t i = count; i < scales_.size(); ++i) scales_[i] = shared[i % count];
}

/// The mean of what travels as floats, at the beginning of the first row of this process.
void Exchange::sum_floats(float total) {
  const std::span<float> sum = row(0).first(float_size_);
  for (int worker = 0; worker < transport_.local(); ++worker) {
    const float weight = weights_[static_cast<std::size_t>(transport_.first() + worker)];
    const std::span<const float> g = row(worker).first(float_size_);
    for (std::size_t i = 0; i < float_size_; ++i)
      sum[i] = worker == 0 ? weight * g[i] : sum[i] + weight * g[i];
  }
  transport_.sum(sum, protocol_ == Protocol::all_reduce);
  for (float& value : sum) value /= total;
}

void Exchange::run(std::span<const int> images, double learning_rate, std::int64_t step, ThreadPool& pool) {
  // Equal shares weigh 1 each, so that sums of workers that send levels stay exact.
  const int unit = std::max(std::reduce(images.begin(), images.end(), 0, std::gcd<int, int>), 1);
  weights_.resize(images.size());
  std::ranges::transform(images, weights_.begin(),
                         [&](int count) { return static_cast<float>(count / unit); });
  const float total = std::reduce(weights_.begin(), weights_.end());

  if (quantizer_) find_scales();
  const int packed = narrow<int>(packed_.size());
  pool.run(packed * transport_.local(), [&](int task, int) {
    encode(task / packed, static_cast<std::size_t>(task % packed), learning_rate, step);
  });
  sum_floats(total);
  if (protocol_ == Protocol::all_reduce)
    transport_.all_gather(messages_);
  else
    transport_.gather(messages_);
  if (protocol_ == Protocol::parameter_server && !transport_.leads()) return;
  for (std::size_t k = 0; k < tensors_.size(); ++k)
    if (places_[k] < float_size_)
      std::ranges::copy(row(0).subspan(places_[k], tensors_[k].gradient.size()),
                        tensors_[k].gradient.begin());
  // The first row is free now: messages are decoded into it.
  pool.run(packed, [&](int task, int) {
    const Packed& from = packed_[static_cast<std::size_t>(task)];
    const std::span<float> g = tensors_[from.tensor].gradient;
    const std::span<float> decoded = row(0).subspan(places_[from.tensor], g.size());
    std::ranges::fill(g, 0.0F);
    for (int worker = 0; worker < transport_.workers(); ++worker) {
      const float weight = weights_[static_cast<std::size_t>(worker)];
      if (weight == 0) continue;
      quantizer_->decode(message(worker, from), decoded);
      for (std::size_t i = 0; i < g.size(); ++i) g[i] += weight * decoded[i];
    }
    quantizer_->combine(g, total);
  });
}

void Exchange::count_traffic() {
  const std::int64_t workers = transport_.workers();
  const auto messages = narrow<std::int64_t>(message_size_),
             scalars = narrow<std::int64_t>(float_size_ * sizeof(float));
  const auto everything = narrow<std::int64_t>(row_size_ * sizeof(float));
  const std::int64_t scales =
      quantizer_ && quantizer_->shares_scale() ? narrow<std::int64_t>(packed_.size() * sizeof(float)) : 0;
  if (protocol_ == Protocol::parameter_server) {
    traffic_ = {.steps = 1,
                .sent = workers * (messages + scalars + scales),
                .sent_in_floats = workers * everything,
                .received = workers * scales};
    return;
  }
  // Floats are summed part by part and cross the wire twice, less each worker's own part; messages go to all
  // others.
  const std::int64_t bytes = (workers - 1) * (workers * messages + 2 * (scalars + scales));
  const std::int64_t in_floats = 2 * (workers - 1) * everything;
  traffic_ = {.steps = 1,
              .sent = bytes,
              .sent_in_floats = in_floats,
              .received = bytes,
              .received_in_floats = in_floats};
}

}  // namespace qtrain::dist
