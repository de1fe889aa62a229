// SPDX-License-Identifier: GPL-2.0-only
// The independent reader (Documentation/tools/ckpt_reader.py), written from
// checkpoint-format.rst, against what the library wrote.
#include "tests/unit/store/store_rig.hh"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>

namespace ckpt {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

struct CkptReader : testing::Test {
    TempDir dir{TempDir::Where::memory};
    StoreRig rig{dir.path("s")};
    std::string output;

    // Its exit status; `output` has what it said.
    int run(const std::string &arguments) {
        const std::string log = dir.path("log");
        const int status = std::system(
            ("python3 Documentation/tools/ckpt_reader.py " + arguments + " >" + log + " 2>&1")
                .c_str());
        output = read(log);
        return WEXITSTATUS(status);
    }
    static std::string read(const std::string &file) {
        std::ostringstream text;
        text << std::ifstream(file, std::ios::binary).rdbuf();
        return text.str();
    }
    static std::string text(const std::vector<std::byte> &bytes) {
        return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
    }

    void expect_extracts(Sn sn, const ModelImage &image) {
        SCOPED_TRACE(sn);
        ASSERT_EQ(run(fmt::format("extract {} {} {} --to {} --table {} --state {}", dir.path("s"),
                                  sn, guest_id(1).to_string(), dir.path("image"),
                                  dir.path("table"), dir.path("state-"))),
                  0)
            << output;
        std::string table, memory(kTestPfns * kPageSize, '\0');
        for (const auto &[pfn, page] : image) {
            const bool contents = has_contents(page.type);
            table += fmt::format("{:x} {:x} {}\n", pfn, static_cast<unsigned>(page.type),
                                 !contents ? "none" : page.seed ? "stored" : "zero");
            if (contents)
                fill_page(reinterpret_cast<std::byte *>(&memory[pfn * kPageSize]), page.seed);
        }
        EXPECT_EQ(read(dir.path("table")), table);
        EXPECT_TRUE(read(dir.path("image")) == memory);
        EXPECT_EQ(read(dir.path("state-config")), text(state_of(sn).config));
        EXPECT_EQ(read(dir.path("state-head")), text(state_of(sn).head));
        EXPECT_EQ(read(dir.path("state-tail")), text(state_of(sn).tail));
    }
};

TEST_F(CkptReader, ReadsWhatTheLibraryWrote) {
    rig.options.segment_bytes = 700 * kPageSize;
    ASSERT_EQ(message(rig.open()), "no error");
    std::map<Sn, ModelImage> images;
    images[1] = pages_from(0, 1500, 1);
    for (Pfn pfn = 2000; pfn < 2010; pfn++)
        images[1][pfn] = {static_cast<PageType>(pfn % 16), pfn % 16 < 13 ? pfn : 0};
    images[1][3000] = {PageType::normal, 0};
    ASSERT_EQ(message(rig.checkpoint(1, 1, images[1], true)), "no error");
    for (Sn sn = 2; sn <= 9; sn++) {
        const ModelImage change = pages_from(sn * 100, sn * 20, sn);
        images[sn] = overlay(images[sn - 1], change);
        ASSERT_EQ(message(rig.checkpoint(sn, 1, change, false)), "no error");
    }
    ASSERT_TRUE(rig.store().collect_garbage(4, false).has_value());
    EXPECT_EQ(run("list " + dir.path("s")), 0) << output;
    EXPECT_THAT(output, HasSubstr("n1 sn 4 prev 3 incarnation 1 guest " + guest_id(1).to_string() +
                                  " guest1 increment new 80 zero 0"));
    EXPECT_THAT(output, testing::Not(HasSubstr("sn 3 prev")));
    EXPECT_EQ(run("verify " + dir.path("s")), 0) << output;
    EXPECT_EQ(output, "6 images are sound, 0 damages\n");
    for (const Sn sn : {4, 7, 9})
        expect_extracts(sn, images[sn]);
    EXPECT_EQ(run(fmt::format("extract {} 3 {}", dir.path("s"), guest_id(1).to_string())), 1);
    EXPECT_THAT(output, HasSubstr("no checkpoint 3"));
}

TEST_F(CkptReader, ReadsDisks) {
    ASSERT_EQ(message(rig.open()), "no error");
    const Uuid image = guest_id(9);
    auto checkpoint = [&](Sn sn, const ModelImage &blocks, bool full) {
        GuestParts parts;
        parts.push_back(rig.part(1, pages_from(0, 10, sn), true, sn).value());
        parts.push_back(rig.store().begin_guest(image).value());
        ASSERT_EQ(message(rig.write(*parts[1], blocks)), "no error");
        DiskEntry disk;
        disk.guest = guest_id(1);
        disk.name = "xvda";
        disk.target = "/dev/vg/g1";
        disk.source = "vg-pool";
        disk.full = full;
        disk.bytes = 100 * kPageSize - 512;
        ASSERT_EQ(message(parts[1]->seal_disk(disk)), "no error");
        Manifest manifest = manifest_of(sn);
        disk.name = "xvdb";
        disk.uuid = guest_id(8);
        disk.kind = DiskKind::read_only;
        manifest.disks.push_back(disk);
        ASSERT_EQ(message(rig.store().commit(std::move(manifest), parts)), "no error");
    };
    ModelImage first = pages_from(0, 5, 1), second = pages_from(3, 4, 2);
    second[99] = {PageType::normal, 7};
    second[0] = {PageType::hole, 0};
    second[1] = {PageType::normal, 0};
    checkpoint(1, first, true);
    checkpoint(2, second, false);
    EXPECT_EQ(run("list " + dir.path("s")), 0) << output;
    EXPECT_THAT(output, HasSubstr(fmt::format(
                            "n1 sn 2 disk {} xvda of {} captured increment bytes {} new 7 zero 1 "
                            "discarded 0 target /dev/vg/g1",
                            image.to_string(), guest_id(1).to_string(), 100 * kPageSize - 512)));
    EXPECT_THAT(output, HasSubstr("xvdb of " + guest_id(1).to_string() + " read-only"));
    EXPECT_EQ(run("verify " + dir.path("s")), 0) << output;
    EXPECT_EQ(output, "4 images are sound, 0 damages\n");
    ASSERT_EQ(run(fmt::format("extract {} 2 {} --to {}", dir.path("s"), image.to_string(),
                              dir.path("image"))),
              0)
        << output;
    std::string blocks(100 * kPageSize, '\0');
    for (const auto &[pfn, page] : overlay(first, second))
        if (has_contents(page.type))
            fill_page(reinterpret_cast<std::byte *>(&blocks[pfn * kPageSize]), page.seed);
    EXPECT_TRUE(read(dir.path("image")) == blocks);
}

TEST_F(CkptReader, FindsDamage) {
    ASSERT_EQ(message(rig.open()), "no error");
    ASSERT_EQ(message(rig.checkpoint(1, 1, pages_from(0, 300, 1), true)), "no error");
    ASSERT_EQ(message(rig.checkpoint(2, 1, pages_from(0, 300, 2), true)), "no error");
    rig.close();
    for (const auto &entry : fs::recursive_directory_iterator(dir.path("s"))) {
        const fs::path file = entry.path();
        if (!entry.is_regular_file() || entry.file_size() == 0 || file.filename() == "owner")
            continue;
        // In the last block of superblock, run and manifest; in a segment, of
        // a page.
        const auto at = static_cast<std::streamoff>(
            file.extension() == ".segment" ? 9 * kPageSize : fs::file_size(file) - 70);
        const std::string before = read(file.string());
        std::string after = before;
        after[static_cast<std::size_t>(at)] = static_cast<char>(after[static_cast<std::size_t>(at)] ^ 4);
        std::ofstream(file, std::ios::binary) << after;
        EXPECT_EQ(run("verify " + dir.path("s")), 1) << file << output;
        EXPECT_THAT(output, HasSubstr(file.filename().string()));
        std::ofstream(file, std::ios::binary) << before;
    }
    EXPECT_EQ(run("verify " + dir.path("s")), 0) << output;
}

} // namespace
} // namespace ckpt
