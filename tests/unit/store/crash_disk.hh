// SPDX-License-Identifier: GPL-2.0-only
// Records what the store does to its directory, and rebuilds what a power cut
// at any point could have left: what was flushed is there, of the rest any part
// may be, writes also torn. Harsher than any one file system.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "libckpt/io/disk.hh"

namespace ckpt {

class CrashRecorder : public DiskObserver {
  public:
    Status before(const DiskStep &step) override;
    std::size_t nr_steps() const;
    // Writes into the new directory `to` a state that a power cut before step
    // number `at` could have left.
    void rebuild(std::size_t at, const std::string &to, std::mt19937_64 &random) const;

  private:
    struct Step {
        DiskStep::Kind kind;
        std::string path, to;
        std::uint64_t offset;
        std::vector<std::byte> data;
    };
    mutable std::mutex mutex_;
    std::vector<Step> steps_;
};

} // namespace ckpt
