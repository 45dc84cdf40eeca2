//! Which system calls the child may make.
//!
//! Two filters. The first is for loading, which needs much and differs from engine to engine: it denies what
//! no engine needs. The second is for tagging, which needs little: it denies everything else. A denied call
//! fails with EPERM, so that code which can do without it continues. `clone3` hides its flags from filters.
//! The filter pretends that it does not exist, so that the C library takes `clone`, whose flags distinguish a
//! thread from a process.

use std::collections::BTreeMap;

use libc::{CLONE_THREAD, ENOSYS, EPERM, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Sockets, other programs, other processes, and doors into the kernel.
const DENIED: [c_long; 41] = [
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_personality,
];

/// What reading pipes, computing and ending take; the same on every architecture.
const COMPUTING: [c_long; 59] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getdents64,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_get_mempolicy,
    libc::SYS_membarrier,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_getcpu,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_gettid,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_prlimit64,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_tgkill,
];
/// The rest of it.
const ENDING: [c_long; 5] =
    [libc::SYS_exit, libc::SYS_exit_group, libc::SYS_restart_syscall, libc::SYS_prctl, libc::SYS_clone3];
/// What older C libraries still call on this architecture.
#[cfg(target_arch = "x86_64")]
const OLDER: [c_long; 9] = [
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_poll,
    libc::SYS_time,
    libc::SYS_arch_prctl,
    libc::SYS_pipe,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: [c_long; 0] = [];
/// Starts of processes that take no flags.
#[cfg(target_arch = "x86_64")]
const FORKS: [c_long; 2] = [libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const FORKS: [c_long; 0] = [];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Denies this thread, and those that it starts, what no engine needs. False if the kernel or this
/// architecture has no filters.
pub(super) fn deny() -> Result<bool, String> {
    let Ok(target) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(false) };
    let mut rules: Rules = DENIED.iter().chain(&FORKS).map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_clone, vec![thread(false)?]);
    rules.insert(libc::SYS_kill, vec![another_process()?]);
    rules.insert(libc::SYS_tkill, Vec::new());
    let denied = program(rules, SeccompAction::Allow, SeccompAction::Errno(EPERM as u32), target)?;
    let unknown = [(libc::SYS_clone3, Vec::new())].into();
    let unknown = program(unknown, SeccompAction::Allow, SeccompAction::Errno(ENOSYS as u32), target)?;
    match seccompiler::apply_filter(&denied).and_then(|()| seccompiler::apply_filter(&unknown)) {
        Ok(()) => Ok(true),
        // EINVAL: a kernel without filters.
        Err(seccompiler::Error::Seccomp(error)) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(format!("seccomp refuses: {error}")),
    }
}

/// Denies every thread all but what computing takes.
pub(super) fn allow_computing() -> Result<(), String> {
    let Ok(target) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(()) };
    let allowed = COMPUTING.iter().chain(&ENDING).chain(&OLDER);
    let mut rules: Rules = allowed.map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_clone, vec![thread(true)?]);
    rules.insert(libc::SYS_kill, vec![this_process()?]);
    let program = program(rules, SeccompAction::Errno(EPERM as u32), SeccompAction::Allow, target)?;
    match seccompiler::apply_filter_all_threads(&program) {
        Ok(()) => Ok(()),
        Err(seccompiler::Error::Seccomp(error)) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        Err(error) => Err(format!("seccomp refuses: {error}")),
    }
}

/// A filter that does `otherwise` with calls that no rule matches, and `matched` with the others.
fn program(
    rules: Rules,
    otherwise: SeccompAction,
    matched: SeccompAction,
    target: TargetArch,
) -> Result<BpfProgram, String> {
    let filter = SeccompFilter::new(rules, otherwise, matched, target).map_err(|error| invalid(&error))?;
    BpfProgram::try_from(filter).map_err(|error| invalid(&error))
}

/// Matches `clone` for a thread, or for a process.
fn thread(is_thread: bool) -> Result<SeccompRule, String> {
    let flag = CLONE_THREAD as u64;
    rule(SeccompCmpOp::MaskedEq(flag), if is_thread { flag } else { 0 })
}

fn this_process() -> Result<SeccompRule, String> {
    rule(SeccompCmpOp::Eq, u64::from(std::process::id()))
}

fn another_process() -> Result<SeccompRule, String> {
    rule(SeccompCmpOp::Ne, u64::from(std::process::id()))
}

/// Matches a call by its first argument.
fn rule(operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, String> {
    let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, operator, value);
    condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(|error| invalid(&error))
}

fn invalid(error: &BackendError) -> String {
    format!("a filter of system calls is invalid: {error}")
}
