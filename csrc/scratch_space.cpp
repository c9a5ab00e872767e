#include "scratch_space.hpp"

#include <cerrno>
#include <stdexcept>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <system_error>
#include <vector>

namespace pyredund {
namespace {

// Threads make no more pages resident in a nanosecond than this, since the system maps 16 of them at each fault.
constexpr std::int64_t kBytesPerNanosecond = 32;
constexpr std::int64_t kSoonest = 20'000, kLatest = 1'000'000;  // nanoseconds until somebody looks again
constexpr std::int64_t kCopied = 1 << 20;                       // bytes of rows put in order at a time
constexpr std::int64_t kWritten = 1 << 16;  // bytes: the system keeps them together, and maps them together

// What is mapped at present. Looking takes a system call, so threads share it.
struct Mapped {
  std::mutex mutex;
  std::vector<ScratchFile*> files;
  std::int64_t n_spaces = 0;
  std::int64_t allowed = 0;
  std::int64_t elsewhere = 0;  // pages of files that are not ours: libraries, maps of the caller's
  int statm = -1;              // of the process `owner`: a child would read its parent's
  pid_t owner = 0;
  std::atomic<std::int64_t> next_look{0};
  std::atomic<bool> any{false};  // file
};

Mapped& mapped() {
  static Mapped only;
  // A child must not inherit a mutex that a thread of its parent's holds.
  static const int at_fork =
      pthread_atfork([] { only.mutex.lock(); }, [] { only.mutex.unlock(); }, [] { only.mutex.unlock(); });
  static_cast<void>(at_fork);
  return only;
}

// Bytes of the process's pages that belong to files; 0 where the system does not say.
std::int64_t file_pages(Mapped& all) {
  if (all.owner != getpid()) {
    if (all.statm >= 0) close(all.statm);
    all.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    all.owner = getpid();
  }
  char text[128] = {};
  long long total = 0, resident = 0, shared = 0;
  if (all.statm < 0 || pread(all.statm, text, sizeof text - 1, 0) <= 0 ||
      std::sscanf(text, "%lld %lld %lld", &total, &resident, &shared) != 3) {
    return 0;
  }
  return shared * sysconf(_SC_PAGESIZE);
}

void give_pages_back() {
  Mapped& all = mapped();
  const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch().count(); };
  if (now() < all.next_look.load(std::memory_order_relaxed)) return;
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (now() < all.next_look.load(std::memory_order_relaxed)) return;  // another thread has looked
  std::int64_t room = all.allowed - (file_pages(all) - all.elsewhere);
  if (room <= 0) {
    // The pages stay in the system's cache, as long as nobody needs that memory, and come back at a touch.
    for (const ScratchFile* file : all.files) {
      madvise(file->data(), static_cast<std::size_t>(file->bytes()), MADV_DONTNEED);
    }
    all.elsewhere = file_pages(all);
    room = all.allowed;
  }
  all.next_look.store(now() + std::clamp(room / kBytesPerNanosecond, kSoonest, kLatest), std::memory_order_relaxed);
}

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

}  // namespace

ScratchSpace::ScratchSpace(std::string folder, std::int64_t resident)
    : folder_(std::move(folder)), resident_(resident) {
  Mapped& all = mapped();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (all.n_spaces++ == 0) {
    all.elsewhere = file_pages(all);
    now_and_then.store(&give_pages_back, std::memory_order_relaxed);
  }
  all.allowed += resident_;
}

ScratchSpace::~ScratchSpace() {
  Mapped& all = mapped();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.allowed -= resident_;
  if (--all.n_spaces > 0) return;
  now_and_then.store(nullptr, std::memory_order_relaxed);
  if (all.statm >= 0) close(std::exchange(all.statm, -1));
  all.owner = 0;
}

// A new file of bytes_ without a name.
int ScratchFile::create() const {
  std::string path = space_->folder() + "/pyredund-XXXXXX";
  const int file = mkstemp(path.data());
  if (file < 0) fail("no temporary file can be made in " + space_->folder());
  unlink(path.c_str());
  fcntl(file, F_SETFD, FD_CLOEXEC);
  if (ftruncate(file, bytes_) != 0) {
    const int error = errno;
    close(file);
    errno = error;
    fail("no temporary file of " + std::to_string(bytes_) + " bytes can be made in " + space_->folder());
  }
  return file;
}

ScratchFile::ScratchFile(std::shared_ptr<const ScratchSpace> space, std::int64_t bytes, const Watch& watch)
    : space_(std::move(space)), bytes_(std::max<std::int64_t>(bytes, 1)), own_(create()) {
  try {
    // Zeros are written so that the disk has room when the map is written to, which cannot report that it has none.
    const std::vector<char> zeros(static_cast<std::size_t>(kWritten));
    for (std::int64_t at = 0; at < bytes_; at += kWritten) {
      check(watch);
      write(own_, zeros.data(), std::min(kWritten, bytes_ - at), at);
    }
    data_ = mmap(nullptr, static_cast<std::size_t>(bytes_), PROT_READ | PROT_WRITE, MAP_SHARED, own_, 0);
    if (data_ == MAP_FAILED) fail("a temporary file cannot be mapped");
  } catch (...) {
    close(own_);
    throw;
  }
  const std::lock_guard<std::mutex> lock(mapped().mutex);
  mapped().files.push_back(this);
  mapped().any = true;
}

ScratchFile::~ScratchFile() {
  {
    const std::lock_guard<std::mutex> lock(mapped().mutex);
    auto& files = mapped().files;
    files.erase(std::find(files.begin(), files.end(), this));
    mapped().any = !files.empty();
  }
  munmap(data_, static_cast<std::size_t>(bytes_));
  if (arranged_ >= 0) close(arranged_);
  close(own_);
}

ScratchFile* ScratchFile::at(const void* address) {
  if (!mapped().any.load(std::memory_order_relaxed)) return nullptr;
  const auto* const wanted = static_cast<const char*>(address);
  const std::lock_guard<std::mutex> lock(mapped().mutex);
  for (ScratchFile* file : mapped().files) {
    const auto* const begin = static_cast<const char*>(file->data());
    if (begin <= wanted && wanted < begin + file->bytes()) return file;
  }
  return nullptr;
}

void ScratchFile::read(const void* from, std::int64_t bytes, void* to) const {
  const std::int64_t offset = static_cast<const char*>(from) - static_cast<const char*>(data_);
  for (std::int64_t done = 0; done < bytes;) {
    const auto got = pread(arranged_ >= 0 ? arranged_ : own_, static_cast<char*>(to) + done,
                           static_cast<std::size_t>(bytes - done), offset + done);
    if (got == 0 || (got < 0 && errno != EINTR)) fail("a temporary file cannot be read in " + space_->folder());
    done += std::max<std::int64_t>(got, 0);
  }
}

void ScratchFile::write(int file, const void* from, std::int64_t bytes, std::int64_t offset) const {
  for (std::int64_t done = 0; done < bytes;) {
    const auto written = pwrite(file, static_cast<const char*>(from) + done,
                                static_cast<std::size_t>(std::min(kWritten, bytes - done)), offset + done);
    if (written < 0 && errno != EINTR) fail("a temporary file cannot be written in " + space_->folder());
    done += std::max<std::int64_t>(written, 0);
  }
}

void ScratchFile::arrange(const std::int32_t* order, std::int64_t rows, std::int64_t row_bytes, const Watch& watch) {
  if (arranged_ >= 0) throw std::logic_error("rows in a scratch file are arranged already");
  const int copy = create();
  try {
    const std::int64_t at_once = std::max<std::int64_t>(1, kCopied / row_bytes);
    std::vector<char> buffer(static_cast<std::size_t>(at_once * row_bytes));
    const auto* const from = static_cast<const char*>(data_);
    for (std::int64_t begin = 0; begin < rows; begin += at_once) {
      check(watch);
      const std::int64_t count = std::min(at_once, rows - begin), size = count * row_bytes;
      for (std::int64_t r = 0; r < count; ++r) {
        read(from + order[begin + r] * row_bytes, row_bytes, buffer.data() + r * row_bytes);
      }
      write(copy, buffer.data(), size, begin * row_bytes);
    }
    show(copy);
  } catch (...) {
    close(copy);
    throw;
  }
  arranged_ = copy;
}

void ScratchFile::restore() {
  if (arranged_ < 0) return;
  show(own_);
  close(std::exchange(arranged_, -1));
}

void ScratchFile::show(int file) {
  if (mmap(data_, static_cast<std::size_t>(bytes_), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) != data_) {
    fail("a temporary file cannot be mapped");
  }
}

}  // namespace pyredund

#else

namespace pyredund {

ScratchSpace::ScratchSpace(std::string, std::int64_t) {
  throw std::runtime_error("arrays in temporary files are not supported on this system");
}
ScratchSpace::~ScratchSpace() = default;
ScratchFile::ScratchFile(std::shared_ptr<const ScratchSpace>, std::int64_t, const Watch&) {}
ScratchFile::~ScratchFile() = default;
ScratchFile* ScratchFile::at(const void*) { return nullptr; }
void ScratchFile::read(const void*, std::int64_t, void*) const {}
void ScratchFile::arrange(const std::int32_t*, std::int64_t, std::int64_t, const Watch&) {}
void ScratchFile::restore() {}

}  // namespace pyredund

#endif
