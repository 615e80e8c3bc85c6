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
  Images test;
  Text train_text;  ///< of a text; else empty
  Text test_text;
  Normalization normalization;
  /// Of the decoded pixels and labels, train then test: 64 hex digits. Of all the files hold whatever `limit`
  /// is; of a generated set, of the images that were made.
  std::string sha256;
};

/// Take the first N of a split; 0 = all.
struct Limit {
  int train = 0;
  int test = 0;
};

struct Entry;

/// The `dataset:` section of a spec (the `augment` and batch keys included).
struct DatasetSpec {
  std::string name = "shapes10";
  std::string root;  ///< folder, searched for as `folders_to_search` says; "" = the data set's usual folder
  int batch_size = 128;
  bool shuffle = true;
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
  Limit limit;
  std::string if_missing;  ///< generated stand-in used when files are not there; "" = error

  /// Reads the section; mistakes go to the reader's diagnostics.
  void read(spec::Reader reader);
  /// C, H, W of what a Loader makes of the images of `entry`.
  Shape image_shape(const Entry& entry) const;
};

/// One line of the table of data sets (datasets.def).
struct Entry {
  const char* name;
  const char* sentence;  ///< what it is, for `qtrain list datasets`
  /// Loads both splits from `folder` ("" for generated sets), `sha256` left empty. Files are read and checked
  /// whole; a generated set makes no more images than `limit` asks for. Throws Error (data).
  Dataset (*load)(const std::filesystem::path& folder, const Limit& limit);
  const char* usual_folder;  ///< below $QTRAIN_DATA or ./data; nullptr for generated sets
  const char* first_file;    ///< a folder with it (or it + ".gz") holds the set; nullptr for generated sets
  int channels, height, width, classes, train_count, test_count;  ///< known before any byte is read
};
std::span<const Entry> registry();           ///< every data set, in the order of the table
const Entry* find(const std::string& name);  ///< nullptr if there is no such data set

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

/// Which workers' images a loader makes, [first, first + local) of all: a batch is cut into consecutive
/// parts, one a worker.
struct Part {
  int first = 0;
  int local = 1;
  int workers = 1;
  bool fixed = false;  ///< each worker draws from the same images in every epoch
};
/// First image of a worker's part of a batch of `total`; for `worker` = `workers`, the end of the last part.
int part_begin(int total, int worker, int workers);

struct Batch {
  int total = 0;                  ///< images of the batch over all workers; the last of an epoch may be short
  int first = 0;                  ///< place in it of the first image here
  int count = 0;                  ///< images here
  std::span<const float> images;  ///< [count][C][H][W] of image_shape(), normalised and augmented
  std::span<const std::int32_t> labels;
};

/// Batches of one pass over a split, prepared ahead by one background thread (two buffers or more); order and
/// augmentation depend on (seed, epoch, sample) only. Buffers are reused: a Batch is valid until the next
/// call.
class Loader {
 public:
  /// Of the training split, with shuffling (if spec.shuffle) and augmentation, or of the test split. The data
  /// set must outlive the loader. spec.batch_size images make a batch over all parts.
  Loader(const Dataset& data, bool training, const DatasetSpec& spec, const Part& part = {});
  ~Loader();
  int batches_per_epoch() const;  ///< rounded up
  void start(const EpochOrder& order,
             int first_batch = 0);  ///< begins an epoch, discarding what was left of another
  bool next(Batch& batch);          ///< false at the end of the epoch

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qtrain::datasets
