#pragma once

#include <filesystem>
#include <string>

// Trees of files that are copied, compared and thrown away by the ten thousand.
namespace crash {

// A copy whose regular files below `shared` are the same files; they are never written to.
void copy_tree(const std::filesystem::path& from, const std::filesystem::path& to,
               const std::filesystem::path& shared);

// All that is in it, as text; what differs from run to run whatever happens (times, process numbers) left
// out.
std::string describe_tree(const std::filesystem::path& tree);

// The same text without times.
std::string without_times(std::string text);

std::string read_text(const std::filesystem::path& file);
void write_text(const std::filesystem::path& file, const std::string& text);

} // namespace crash
