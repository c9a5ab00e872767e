#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "watch.hpp"

namespace pyredund {

// Memory for arrays that are large and read a few rows at a time. Each lies in a temporary file that has no name, so
// that nothing is left of it whatever happens, and is mapped: code reads it through a pointer like any other memory.
// Of its pages, those that have been touched count as memory of the process until they are given back, which is what
// computing threads do whenever they call check() while all scratch files together have more pages than was allowed.
class ScratchSpace {
 public:
  // `resident`: bytes of pages that may stay; several spaces add theirs up.
  ScratchSpace(std::string folder, std::int64_t resident);
  ~ScratchSpace();
  ScratchSpace(const ScratchSpace&) = delete;
  ScratchSpace& operator=(const ScratchSpace&) = delete;

  const std::string& folder() const { return folder_; }
  std::int64_t resident() const { return resident_; }

 private:
  std::string folder_;
  std::int64_t resident_;
};

// Zeros in a file of their own. Throws std::system_error where the folder has no room.
class ScratchFile {
 public:
  ScratchFile(std::shared_ptr<const ScratchSpace> space, std::int64_t bytes, const Watch& watch);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  // The file that holds this address; null where that is ordinary memory.
  static ScratchFile* at(const void* address);

  void* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }
  const std::shared_ptr<const ScratchSpace>& space() const { return space_; }

  // Copies bytes from this address of the file, without mapping a page.
  void read(const void* from, std::int64_t bytes, void* to) const;

  // Until it is restored, the first rows, of `row_bytes` each, lie in another order: row p is what was row order[p].
  // The copy takes as much room in the folder again; a request to stop leaves all as it was.
  void arrange(const std::int32_t* order, std::int64_t rows, std::int64_t row_bytes, const Watch& watch);
  void restore();

 private:
  int create() const;
  void write(int file, const void* from, std::int64_t bytes, std::int64_t offset) const;
  void show(int file);

  std::shared_ptr<const ScratchSpace> space_;
  std::int64_t bytes_;
  int own_;            // the file
  int arranged_ = -1;  // the copy that is shown in its place
  void* data_;
};

}  // namespace pyredund
