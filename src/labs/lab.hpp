#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "spec/reader.hpp"

namespace qtrain::labs {

using Json = nlohmann::ordered_json;

/// What one case left with one seed.
struct LabRun {
  std::vector<Json> rows;        ///< one object a logged step
  Json result = Json::object();  ///< final numbers; null where there is none (an iteration never reached)
};

/// Called at every step of a run; it may throw to end it.
using Watch = std::function<void()>;

/// A problem of a paper whose answer is known, or computed in seconds. Immutable: runs may go side by side.
class Lab {
 public:
  virtual ~Lab() = default;
  /// The independent problems that the spec asks for, each by the keys that tell it from the others
  /// ({"angle": 90, "ste": "relu"}); at least one.
  virtual std::vector<Json> cases() const = 0;
  /// Runs cases()[index]. The same seed gives the same bytes; a non-finite number in the result says that the
  /// run diverged.
  virtual LabRun run(std::size_t index, std::uint64_t seed, const Watch& watch) const = 0;
};

/// One line of labs.def.
struct LabEntry {
  const char* name;
  std::unique_ptr<Lab> (*read)(spec::Reader& keys);  ///< reads the lab's own keys of `lab`
};
std::span<const LabEntry> registry();

/// Reads `lab`: name and that lab's keys.
struct LabSpec {
  std::string name = "two_layer_gaussian";
  std::unique_ptr<Lab> lab;  ///< never empty after read
  void read(spec::Reader keys);
};

/// The key `log_every`: which steps leave a row.
struct LogSteps {
  int every = 0;
  void read(spec::Reader& keys);
  /// Every `every`-th step; for 0 the steps 0, 1, 2, 5, 10, 20, 50, 100, ...
  bool contains(std::int64_t step) const;
};

}  // namespace qtrain::labs
