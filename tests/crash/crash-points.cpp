// The proof that the tools survive a crash at any point: each is killed at the entry and at the exit of every
// system call that it makes, and has every system call fail once by each of several errors. Then what it left
// is looked at, and a boot, a deploy, a prune and a rollback have to do with it.

#include "checks.hpp"
#include "fd.hpp"
#include "host.hpp"
#include "traced.hpp"
#include "transitions.hpp"
#include "tree.hpp"

#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <system_error>
#include <thread>

namespace fs = std::filesystem;
using namespace crash;

namespace {

struct Errno {
  const char* name;
  int number;
};
constexpr std::array<Errno, 7> errors{{{"ENOSPC", ENOSPC},
                                       {"EIO", EIO},
                                       {"EROFS", EROFS},
                                       {"EACCES", EACCES},
                                       {"EINTR", EINTR},
                                       {"EMFILE", EMFILE},
                                       {"ENOMEM", ENOMEM}}};

struct Options {
  std::string tools;
  std::string program;
  std::optional<std::string> only;
  std::optional<std::size_t> point;
  const Errno* error = nullptr;
  unsigned jobs = 0;
};

// A point of a transition; of which one is its place in transitions().
struct Job {
  std::size_t transition;
  std::size_t point;
  const Errno* error; // none: it is killed
};

// A directory of its own, in memory where that can be: to be killed is not to lose power, so nothing here
// depends on a disk.
class Scratch {
 public:
  Scratch() {
    const fs::path memory = "/dev/shm";
    const fs::path where = access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path();
    std::string name = where / "safe-deploy-crash-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), name);
    path_ = name;
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    if (owner_ == getpid()) fs::remove_all(path_, ignored);
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  pid_t owner_ = getpid();
};

// What a worker does its jobs with. Each has a place of its own, whose path is the same for all its runs.
class Bench {
 public:
  Bench(const Options& options, const fs::path& place)
      : options_(options),
        place_(place),
        host_(place / "host"),
        out_(open((place / "out").c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)),
        err_(open((place / "err").c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {}

  // What an undisturbed run does.
  const Ran& undisturbed(std::size_t transition) {
    begin(transition);
    return whole_;
  }

  // Whether there was such a point. Throws Wrong.
  bool run(const Job& job) {
    begin(job.transition);
    const Transition& transition = transitions().at(job.transition);
    fresh(transition);
    Plan plan{Plan::What::kill, job.point, 0};
    if (job.error != nullptr) plan = {Plan::What::fail, job.point, job.error->number};
    last_ = traced_->run(plan);
    if (!last_.reached) return false;
    if (job.error != nullptr)
      check_error(host_, transition, before_, settled_, after_, last_, job.error->number);
    check_what_follows(transition);
    return true;
  }

  [[nodiscard]] const Ran& last() const { return last_; }
  [[nodiscard]] const fs::path& tree() const { return host_.root; }

 private:
  void begin(std::size_t index) {
    if (current_ == index) return;
    const Transition& transition = transitions().at(index);
    fs::remove_all(host_.root);
    fs::remove_all(place_ / "prepared");
    host_.create();
    transition.prepare(host_);
    fs::rename(host_.root, place_ / "prepared");
    fresh(transition);
    before_ = settled_ = look(host_);
    if (transition.settles || transition.repairs) {
      (void)reconcile_app(host_);
      settled_ = look(host_);
      fresh(transition);
    }
    traced_.emplace(command(transition), out_.get(), err_.get());
    whole_ = traced_->run({});
    if (!WIFEXITED(whole_.status) || WEXITSTATUS(whole_.status) != transition.status)
      throw Wrong("undisturbed it ends with the wait status " + std::to_string(whole_.status) + ": " +
                  whole_.errors);
    after_ = look(host_);
    seen_.clear();
    check_what_follows(transition);
    current_ = index;
  }

  void fresh(const Transition& transition) {
    fs::current_path("/");
    fs::remove_all(host_.root);
    copy_tree(place_ / "prepared", host_.root, releases_name);
    if (!transition.in_use.empty()) fs::current_path(host_.releases / transition.in_use);
  }

  [[nodiscard]] std::vector<std::string> command(const Transition& transition) const {
    std::vector<std::string> words = transition.command;
    for (auto& word : words)
      if (word.starts_with("@/")) word = host_.root / word.substr(2);
    words.front() = options_.tools + "/" + words.front();
    return words;
  }

  // Most points leave what another one has left already, and what follows depends on nothing else.
  void check_what_follows(const Transition& transition) {
    const std::string left = describe_tree(host_.root);
    const auto [found, is_new] = seen_.try_emplace(left);
    if (is_new) {
      try {
        check_invariants(host_, transition, before_, settled_, after_);
        check_continues(host_, transition);
      } catch (const Wrong& wrong) {
        found->second = wrong.what();
      }
    }
    if (!found->second.empty()) throw Wrong(found->second);
  }

  const Options& options_;
  fs::path place_;
  Host host_;
  safe_deploy::Fd out_;
  safe_deploy::Fd err_;
  std::optional<std::size_t> current_;
  View before_;
  View settled_;
  View after_;
  std::optional<Traced> traced_;
  Ran whole_;
  Ran last_;
  std::map<std::string, std::string> seen_; // what was left, and what is wrong with it
};

// What the workers share.
struct Figures {
  std::atomic<std::size_t> killed = 0;
  std::atomic<std::size_t> failed = 0;
};
struct Shared {
  std::atomic<std::size_t> next = 0;
  std::atomic<std::size_t> wrong = 0;
  std::array<Figures, 64> figures;
  std::size_t jobs_count = 0;
  std::array<Job, 200000> jobs;
};

Shared& shared_memory() {
  void* const memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
  return *new (memory) Shared; // ends with the process
}

// fork(2), into a machine of its own where that is allowed: with no other processes than its children, which
// is what a prune looks at.
pid_t fork_apart() {
  const long pid =
      syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid < 0) return fork();
  if (pid == 0) {
    (void)mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    (void)mount("proc", "/proc", "proc", 0, nullptr);
  }
  return static_cast<pid_t>(pid);
}

// A worker and what it traces take turns: on one processor that is cheap.
void stay_on(unsigned worker) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) < 0) return;
  const unsigned turn = worker % static_cast<unsigned>(CPU_COUNT(&allowed));
  unsigned seen = 0;
  for (unsigned i = 0; i < CPU_SETSIZE; ++i) {
    if (!CPU_ISSET(i, &allowed) || seen++ != turn) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(i, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
  }
}

// Runs it in another process. Its process number.
template <class Work>
pid_t start(Work work) {
  const pid_t pid = fork_apart();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid > 0) return pid;
  try {
    work();
    _exit(std::fflush(stdout));
  } catch (const std::exception& error) {
    (void)std::fprintf(stderr, "crash-points: %s\n", error.what());
  }
  _exit(1);
}

bool ended_well(pid_t pid) {
  int status = 0;
  return waitpid(pid, &status, 0) == pid && status == 0;
}

std::string named(const Job& job) {
  std::string text = transitions().at(job.transition).name + ", ";
  if (job.error == nullptr) return text + "killed at stop " + std::to_string(job.point);
  return text + job.error->name + " at call " + std::to_string(job.point);
}

std::string place_of(const Job& job, const Ran& ran) {
  const Call& call = ran.at;
  std::string text = " (" + call_name(call.number) + ", system call " + std::to_string(call.number);
  if (job.error == nullptr) text += job.point % 2 == 1 ? ", at its entry" : ", at its exit";
  return text + ")";
}

void tell(const Options& options, const Job& job, const Ran& ran, const std::string& what) {
  std::string text = "FAILED " + named(job) + place_of(job, ran) + ": " + what +
                     "\n  again: " + options.program + " --tools " + options.tools + " --only " +
                     transitions().at(job.transition).name + " --point " + std::to_string(job.point);
  if (job.error != nullptr) text += std::string(" --error ") + job.error->name;
  (void)std::fprintf(stderr, "%s\n", text.c_str()); // one write: the stream is unbuffered, the text is one
}

void work(const Options& options, const fs::path& place, Shared& shared) {
  fs::create_directory(place);
  Bench bench(options, place);
  for (;;) {
    const std::size_t index = shared.next++;
    if (index >= shared.jobs_count) return;
    const Job& job = shared.jobs.at(index);
    try {
      if (!bench.run(job)) continue;
      Figures& figures = shared.figures.at(job.transition);
      ++(job.error == nullptr ? figures.killed : figures.failed);
    } catch (const Wrong& wrong) {
      ++shared.wrong;
      tell(options, job, bench.last(), wrong.what());
    }
  }
}

bool is_asked_for(const Options& options, const Transition& transition) {
  return (!options.only || *options.only == transition.name) &&
         access((options.tools + "/" + transition.command.front()).c_str(), X_OK) == 0;
}

// All points of an undisturbed run of each transition.
void plan(const Options& options, const fs::path& place, Shared& shared) {
  fs::create_directory(place);
  const auto add = [&](const Job& job) { shared.jobs.at(shared.jobs_count++) = job; };
  Bench bench(options, place);
  for (std::size_t i = 0; i < transitions().size(); ++i) {
    if (!is_asked_for(options, transitions()[i])) continue;
    try {
      const Ran& ran = bench.undisturbed(i);
      for (std::size_t stop = 1; stop <= ran.stops; ++stop) add({i, stop, nullptr});
      for (std::size_t call = 1; call <= ran.calls.size(); ++call)
        for (const auto& error : errors)
          // A futex fails with none of them, and the C library ends whoever is told so.
          if (!ran.calls[call - 1].of_loader && ran.calls[call - 1].number != SYS_futex &&
              can_fail(ran.calls[call - 1].number, error.number))
            add({i, call, &error});
    } catch (const std::exception& error) {
      throw Wrong(transitions()[i].name + ": " + error.what());
    }
  }
}

// One point alone: the tree that it leaves is kept.
void run_one(const Options& options, const Job& job) {
  const fs::path place = fs::temp_directory_path() / "safe-deploy-crash-point";
  fs::remove_all(place);
  fs::create_directory(place);
  Bench bench(options, place);
  try {
    const bool reached = bench.run(job);
    std::printf("%s%s: %s\n", named(job).c_str(), place_of(job, bench.last()).c_str(),
                reached ? "as it should be" : "there is no such point");
    std::printf("%s", bench.last().errors.c_str());
  } catch (const Wrong& wrong) {
    tell(options, job, bench.last(), wrong.what());
    std::printf("%sleft in %s\n", bench.last().errors.c_str(), bench.tree().c_str());
  }
}

int run_all(const Options& options) {
  const Scratch scratch;
  Shared& shared = shared_memory();
  if (!ended_well(start([&] { plan(options, scratch.path() / "plan", shared); }))) return 1;
  std::vector<pid_t> workers;
  for (unsigned i = 0; i < options.jobs; ++i)
    workers.push_back(start([&] {
      stay_on(i);
      work(options, scratch.path() / std::to_string(i), shared);
    }));
  bool well = true;
  for (const pid_t worker : workers) well = ended_well(worker) && well;
  std::size_t killed = 0;
  std::size_t failed = 0;
  for (std::size_t i = 0; i < transitions().size(); ++i) {
    const Figures& figures = shared.figures.at(i);
    if (!is_asked_for(options, transitions()[i])) continue;
    std::printf("%-26s %6zu killed %6zu failed\n", transitions()[i].name.c_str(), figures.killed.load(),
                figures.failed.load());
    killed += figures.killed;
    failed += figures.failed;
  }
  if (!well) std::printf("a worker did not end well\n");
  std::printf("%zu kill points, %zu injected errors as they should be, %zu not\n", killed, failed,
              shared.wrong.load());
  return well && shared.wrong == 0 && killed > 0 && failed > 0 ? 0 : 1;
}

const Errno* parse_error(const std::string& name) {
  const auto* found =
      std::find_if(errors.begin(), errors.end(), [&](const Errno& error) { return name == error.name; });
  if (found == errors.end()) throw Wrong("--error: none of those that are tried: " + name);
  return found;
}

Options parse(int argc, char** argv) {
  const std::array<option, 6> known{{{"tools", required_argument, nullptr, 't'},
                                     {"only", required_argument, nullptr, 'o'},
                                     {"point", required_argument, nullptr, 'p'},
                                     {"error", required_argument, nullptr, 'e'},
                                     {"jobs", required_argument, nullptr, 'j'},
                                     {nullptr, 0, nullptr, 0}}};
  Options options;
  options.program = argv[0];
  options.jobs = std::clamp(std::thread::hardware_concurrency(), 1U, 4U);
  for (int code = 0; (code = getopt_long(argc, argv, "", known.data(), nullptr)) != -1;) {
    if (code == 't') options.tools = optarg;
    if (code == 'o') options.only = optarg;
    if (code == 'p') options.point = std::stoul(optarg);
    if (code == 'e') options.error = parse_error(optarg);
    if (code == 'j') options.jobs = static_cast<unsigned>(std::stoul(optarg));
    if (code == '?') throw Wrong("--tools DIR [--only TRANSITION [--point N [--error ERRNO]]] [--jobs N]");
  }
  if (options.tools.empty()) throw Wrong("--tools is needed: where the tools are");
  options.tools = fs::absolute(options.tools);
  return options;
}

} // namespace

int main(int argc, char** argv) {
  try {
    const Options options = parse(argc, argv);
    if (!options.point) return run_all(options);
    for (std::size_t i = 0; i < transitions().size(); ++i)
      if (options.only == transitions()[i].name)
        return ended_well(start([&] { run_one(options, {i, *options.point, options.error}); })) ? 0 : 1;
    throw Wrong("--point goes with --only, and the name of a transition");
  } catch (const std::exception& error) {
    (void)std::fprintf(stderr, "crash-points: %s\n", error.what());
    return 1;
  }
}
