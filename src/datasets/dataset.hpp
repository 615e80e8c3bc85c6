#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "spec/reader.hpp"
#include "tensor/shape.hpp"

namespace qtrain::datasets {

/// Images of one split in memory, as bytes: `pixels` is [count][channels][height][width], u8, `labels`
/// [count].
struct Images {
  int count = 0;
  int channels = 0;
  int height = 0;
  int width = 0;
  int classes = 0;
  std::vector<std::uint8_t> pixels;
  std::vector<std::uint8_t> labels;
};

/// Normalisation per channel: x = (pixel / 255 - mean) / deviation.
struct Normalization {
  std::vector<float> mean;
  std::vector<float> deviation;
};

/// A text as numbers of its vocabulary's entries, [0, vocabulary).
struct Text {
  int vocabulary = 0;
  std::vector<std::uint16_t> tokens;
};

struct Dataset {
  std::string name;  ///< registry name of what was really loaded
  Images train;      ///< of a set of images; else empty
  Images held_out;   ///< those of the training split that DatasetSpec::held_out keeps from training
  Images test;
  Text train_text;  ///< of a text; else empty
  Text test_text;   ///< the split that DatasetSpec::evaluate names
  Normalization normalization;
  /// Of the decoded pixels and labels, or of a text's tokens as 16-bit little-endian numbers, train then
  /// test: 64 hex digits. Of all these splits hold whatever `limit` is; of a generated set, of what was made.
  std::string sha256;

  bool is_text() const { return train_text.vocabulary > 0; }
};

/// Take the first N images or tokens of a split; 0 = all.
struct Limit {
  int train = 0;
  int test = 0;
};

struct Entry;

/// The `dataset:` section of a spec (the `augment` and batch keys included).
struct DatasetSpec {
  std::string name = "shapes10";
  std::string root;      ///< the only folder searched; "" = the data set's usual folder
  int batch_size = 128;  ///< images a step; lanes of a text
  bool shuffle = true;   ///< images only
  /// Random changes of training images, in this order.
  struct Augment {
    int crop_padding = 0;   ///< pad with black by so many pixels on each side, then cut out at random
    int crop = 0;           ///< cut out crop x crop pixels, evaluation in the centre; 0: the images' own size
    bool flip = false;      ///< mirror left and right with probability 1/2
    double brightness = 0;  ///< add U(-brightness, brightness) to all bytes, which are not cut to [0, 255]
    std::vector<double> contrast;  ///< low, high: take each channel U(low, high) times as far from its mean
  } augment;
  /// dataset: by Normalization. image: each image by its own mean and deviation.
  std::string standardize = "dataset";
  int sequence = 100;                   ///< T: tokens of a text's sample
  std::string evaluate = "validation";  ///< or test: which split of a text becomes Dataset::test_text
  Limit limit;
  int held_out = -1;       ///< the last N training images are for validation; < 1: it is on the test split
  std::string if_missing;  ///< generated stand-in used when files are not there; "" = error

  /// Reads the section; mistakes go to the reader's diagnostics.
  void read(spec::Reader reader);
  /// Of a sample that a Loader makes of `entry`: C, H, W of an image, T of a text.
  Shape sample_shape(const Entry& entry) const;
  int train_count(const Entry& entry) const;      ///< images or tokens to train on, known before loading
  int test_count(const Entry& entry) const;       ///< and to evaluate on
  int steps_per_epoch(const Entry& entry) const;  ///< of training; 0 for a text too short for one
};

/// One line of the table of data sets (datasets.def).
struct Entry {
  const char* name;
  const char* sentence;  ///< what it is, for `qtrain list datasets`
  /// Loads both splits from `folder` ("" for generated sets), `sha256` left empty. Files are read and checked
  /// whole; a generated set makes no more than `limit` of the spec asks for. Throws Error (data).
  Dataset (*load)(const std::filesystem::path& folder, const DatasetSpec& spec);
  const char* usual_folder;  ///< below $QTRAIN_DATA or ./data; nullptr for generated sets
  const char* first_file;    ///< a folder with it (or it + ".gz") holds the set; nullptr for generated sets
  // Known before any byte is read:
  bool text;                    ///< else images
  int channels, height, width;  ///< of an image; of a text 0
  int classes;                  ///< the vocabulary of a text
  int train_count, test_count;  ///< images or tokens
  int validation_count;         ///< tokens of a text; 0 of images
};
std::span<const Entry> registry();           ///< every data set, in the order of the table
const Entry* find(const std::string& name);  ///< nullptr if there is no such data set

/// "3x32x32 with 10 classes", "a text with a vocabulary of 87".
std::string shape_text(const Entry& entry);
/// Whether a model of `entry` runs on the other: a text may leave some of its vocabulary out.
bool can_stand_in(const Entry& other, const Entry& entry);

struct Loaded {
  Dataset dataset;
  bool substituted = false;  ///< `if_missing` was used
  std::string warning;       ///< for the log when substituted
};
/// Finds, loads and limits. Missing without `if_missing`: Error (data) saying where it looked and how to get
/// it (data/fetch.sh NAME). Damaged files are an Error whether or not `if_missing` is given.
Loaded load(const DatasetSpec& spec);

/// Position in training, from which everything random of a batch follows.
struct EpochOrder {
  std::uint64_t seed = 1;
  int epoch = 0;  ///< 0-based, over all stages
};

/// Which workers' images or lanes a loader makes, [first, first + local) of all: a batch is cut into
/// consecutive parts, one a worker.
struct Part {
  int first = 0;
  int local = 1;
  int workers = 1;
  bool fixed = false;  ///< each worker draws from the same images in every epoch; so it is with lanes anyway
};
/// First image or lane of a worker's part of a batch of `total`; for `worker` = `workers`, the end of the
/// last part.
int part_begin(int total, int worker, int workers);

/// Validation is on the images held out if there are any, else on the test split.
enum class Split { train, validation, test };

/// Samples of one step: images, or sequences of tokens, one a lane.
struct Batch {
  int total = 0;  ///< samples of the batch over all workers; the last of an epoch of images may be short
  int first = 0;  ///< place in it of the first sample here
  int count = 0;  ///< samples here
  /// [count][C][H][W], normalised and augmented, or tokens [count][T], of DatasetSpec::sample_shape().
  std::span<const float> images;
  std::span<const std::int32_t> labels;  ///< [count], or [count][T]: the token that follows each
};

/// Batches of one pass over a split, prepared ahead by one background thread (two buffers or more); order and
/// augmentation depend on (seed, epoch, sample) only. Buffers are reused: a Batch is valid until the next
/// call.
///
/// A text is cut into batch_size lanes of L = (tokens - 1) / batch_size tokens, side by side; step b has the
/// tokens [lane L + b T, + T) of every lane, so that a lane goes on where it ended at the step before. There
/// are L / T steps, both divisions rounded down: up to batch_size - 1 tokens at the end of the text and T - 1
/// of each lane are left out. Every pass is the same.
class Loader {
 public:
  /// Of the training split with shuffling (if spec.shuffle) and augmentation. The data set must outlive the
  /// loader. spec.batch_size samples make a batch over all parts. Error (usage) for a text of fewer than
  /// batch_size T + 1 tokens.
  Loader(const Dataset& data, Split split, const DatasetSpec& spec, const Part& part = {});
  ~Loader();
  int batches_per_epoch() const;  ///< rounded up for images, down for a text
  void start(const EpochOrder& order,
             int first_batch = 0);  ///< begins an epoch, discarding what was left of another
  bool next(Batch& batch);          ///< false at the end of the epoch

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qtrain::datasets
