// SPDX-License-Identifier: GPL-2.0-only
#include "tests/unit/store/crash_disk.hh"

#include <cstring>
#include <filesystem>
#include <fstream>

namespace ckpt {

namespace {

struct File {
    std::vector<std::byte> durable;
    struct Change {
        bool truncate;
        std::uint64_t offset;
        const std::vector<std::byte> *data;
    };
    std::vector<Change> pending;

    void apply(const Change &change, std::size_t from, std::size_t to) {
        if (change.truncate) {
            durable.resize(change.offset);
            return;
        }
        if (from == to)
            return;
        if (durable.size() < change.offset + to)
            durable.resize(change.offset + to);
        std::memcpy(durable.data() + change.offset + from, change.data->data() + from, to - from);
    }
    void flush() {
        for (const Change &change : pending)
            apply(change, 0, change.truncate ? 0 : change.data->size());
        pending.clear();
    }
    // Any part of what was not flushed, in sectors.
    void crash(std::mt19937_64 &random) {
        for (const Change &change : pending) {
            if (random() % 2)
                continue;
            std::size_t from = 0, to = change.truncate ? 0 : change.data->size();
            if (random() % 2)
                to = std::min<std::size_t>(to, random() % (to / 512 + 1) * 512);
            apply(change, from, to);
        }
    }
};

using FilePtr = std::shared_ptr<File>; // null: a directory
using Entries = std::map<std::string, FilePtr>;

std::string parent(const std::string &path) {
    return std::filesystem::path(path).parent_path().string();
}

struct NameChange {
    std::string folder, path;
    bool present;
    FilePtr file;
    std::string moved_from; // a rename: both names change at once
};

void rename_in(Entries &names, const NameChange &change) {
    if (!change.moved_from.empty())
        names.erase(change.moved_from);
    if (change.present)
        names[change.path] = change.file;
    else
        names.erase(change.path);
}

} // namespace

Status CrashRecorder::before(const DiskStep &step) {
    std::lock_guard lock(mutex_);
    steps_.push_back({step.kind, std::string(step.path), std::string(step.to), step.offset,
                      {step.data.begin(), step.data.end()}});
    return {};
}

std::size_t CrashRecorder::nr_steps() const {
    std::lock_guard lock(mutex_);
    return steps_.size();
}

void CrashRecorder::rebuild(std::size_t at, const std::string &to,
                            std::mt19937_64 &random) const {
    using Kind = DiskStep::Kind;
    std::lock_guard lock(mutex_);
    Entries now, durable; // names as the program sees them, and as the disk has them
    std::vector<NameChange> pending;
    auto change = [&](NameChange one) {
        rename_in(now, one);
        pending.push_back(std::move(one));
    };
    for (std::size_t i = 0; i < at; i++) {
        const Step &step = steps_[i];
        const FilePtr file = now.contains(step.path) ? now[step.path] : nullptr;
        switch (step.kind) {
        case Kind::make_dir:
            if (!now.contains(step.path))
                change({parent(step.path), step.path, true, nullptr, ""});
            break;
        case Kind::create:
            if (!file)
                change({parent(step.path), step.path, true, std::make_shared<File>(), ""});
            break;
        case Kind::write:
            file->pending.push_back({false, step.offset, &step.data});
            break;
        case Kind::truncate:
            file->pending.push_back({true, step.offset, nullptr});
            break;
        case Kind::sync:
            file->flush();
            break;
        case Kind::rename:
            change({parent(step.to), step.to, true, file, step.path});
            break;
        case Kind::remove:
            change({parent(step.path), step.path, false, nullptr, ""});
            break;
        case Kind::sync_dir:
            std::erase_if(pending, [&](const NameChange &one) {
                if (one.folder != step.path)
                    return false;
                rename_in(durable, one);
                return true;
            });
            break;
        }
    }
    for (const NameChange &one : pending)
        if (random() % 2)
            rename_in(durable, one);
    std::filesystem::create_directory(to);
    for (const auto &[path, file] : durable) {
        const std::string full = to + "/" + path;
        std::filesystem::create_directories(std::filesystem::path(full).parent_path());
        if (!file) {
            std::filesystem::create_directories(full);
            continue;
        }
        File copy = *file;
        copy.crash(random);
        std::ofstream(full, std::ios::binary)
            .write(reinterpret_cast<const char *>(copy.durable.data()),
                   static_cast<std::streamsize>(copy.durable.size()));
    }
}

} // namespace ckpt
