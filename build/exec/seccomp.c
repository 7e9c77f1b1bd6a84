/* build/exec/seccomp.c - the default profile as a BPF program; see seccomp.h.
 *
 *   load arch; for each ABI: another? jump over
 *     load nr; binary search over intervals [start, next start): each ends in a verdict
 *     a verdict is RET, or a look at arguments first
 *   RET ENOSYS
 */
#include "build/exec/seccomp.h"

#include "base/mem.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char allowed[] =
#include "build/exec/seccomp.def"
	;

/* Only some arguments; see verdict_emit(). */
enum verdict { V_ENOSYS, V_EPERM, V_ALLOW, V_PERSONALITY, V_SOCKET, V_CLONE, V_IOCTL };

static const struct {
	enum verdict verdict;
	const char *names;
} special[] = {
	{ V_PERSONALITY, "personality " },
	{ V_SOCKET, "socket " },
	{ V_IOCTL, "ioctl " },
	{ V_ALLOW, "ptrace process_vm_readv process_vm_writev arch_prctl modify_ldt sync_file_range2 swapcontext "
		   "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls s390_pci_mmio_read "
		   "s390_pci_mmio_write s390_runtime_instr riscv_flush_icache " },
	{ V_EPERM, "bdflush io_uring_setup io_uring_enter io_uring_register kexec_file_load kexec_load keyctl add_key "
		   "request_key migrate_pages move_pages nfsservctl nice oldfstat oldlstat oldolduname oldstat olduname "
		   "pciconfig_iobase pciconfig_read pciconfig_write sgetmask ssetmask swapoff swapon syscall sysfs uselib "
		   "userfaultfd ustat vm86 vm86old " },
};

/* Allowed with the capability, else EPERM. */
static const struct {
	int cap;
	const char *names;
} gated[] = {
	{ CAP_SYS_ADMIN, "bpf fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules "
			 "lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open pivot_root quotactl "
			 "quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare " },
	{ CAP_DAC_READ_SEARCH, "open_by_handle_at " },
	{ CAP_SYS_BOOT, "reboot " },
	{ CAP_SYS_CHROOT, "chroot " },
	{ CAP_SYS_MODULE, "delete_module init_module finit_module query_module " },
	{ CAP_SYS_PACCT, "acct " },
	{ CAP_SYS_PTRACE, "kcmp pidfd_getfd process_madvise " },
	{ CAP_SYS_RAWIO, "iopl ioperm " },
	{ CAP_SYS_TIME, "settimeofday stime clock_settime clock_settime64 " },
	{ CAP_SYS_TTY_CONFIG, "vhangup " },
	{ CAP_SYS_NICE, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node " },
	{ CAP_SYSLOG, "syslog " },
};

/* Younger than the library may be; the number is the same everywhere. */
static const struct {
	const char *name;
	int nr;
} young[] = {
	{ "cachestat", 451 }, { "fchmodat2", 452 }, { "map_shadow_stack", 453 }, { "futex_wake", 454 }, { "futex_wait", 455 },
	{ "futex_requeue", 456 }, { "statmount", 457 }, { "listmount", 458 }, { "lsm_get_self_attr", 459 },
	{ "lsm_set_self_attr", 460 }, { "lsm_list_modules", 461 }, { "mseal", 462 }, { "setxattrat", 463 },
	{ "getxattrat", 464 }, { "listxattrat", 465 }, { "removexattrat", 466 },
};

struct abi {
	uint32_t audit, scmp;
	uint32_t extra, extra_bit;      /* a second table below the same audit value (x32); 0: none */
};
static const struct abi abis[] = {
#if defined(__x86_64__)
	{ AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, SCMP_ARCH_X32, 0x40000000 },
	{ AUDIT_ARCH_I386, SCMP_ARCH_X86, 0, 0 },
#elif defined(__aarch64__)
	{ AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64, 0, 0 },
	{ AUDIT_ARCH_ARM, SCMP_ARCH_ARM, 0, 0 },
#elif defined(__s390x__)
	{ AUDIT_ARCH_S390X, SCMP_ARCH_S390X, 0, 0 },
	{ AUDIT_ARCH_S390, SCMP_ARCH_S390, 0, 0 },
#elif defined(__riscv) && __riscv_xlen == 64
	{ AUDIT_ARCH_RISCV64, SCMP_ARCH_RISCV64, 0, 0 },
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
	{ AUDIT_ARCH_PPC64LE, SCMP_ARCH_PPC64LE, 0, 0 },
#elif defined(__i386__)
	{ AUDIT_ARCH_I386, SCMP_ARCH_X86, 0, 0 },
#elif defined(__arm__)
	{ AUDIT_ARCH_ARM, SCMP_ARCH_ARM, 0, 0 },
#else
#error "add the ABIs of this architecture (spec/executor.md 9)"
#endif
};

/* ---- names to intervals */

enum { CALLS_MAX = 2048, CODE_MAX = 4096 };

struct call {
	uint32_t nr, verdict, order;
};
struct calls {
	struct call c[CALLS_MAX];
	size_t n;
};

static int call_number(uint32_t arch, uint32_t bit, const char *name)
{
	int nr = seccomp_syscall_resolve_name_arch(arch, name);

	if (nr != __NR_SCMP_ERROR)
		return nr;
	for (size_t i = 0; i < countof(young); i++)
		if (strcmp(name, young[i].name) == 0)
			return young[i].nr | (int)bit;
	return -1;
}

/* Negative numbers are the library's own, for calls that the ABI does not have. */
static void calls_add(struct calls *cs, uint32_t arch, uint32_t bit, const char *names, enum verdict v)
{
	char name[40];

	for (size_t n; *names; names += n + 1) {
		int nr;

		n = strcspn(names, " ");
		if (n == 0 || n >= sizeof(name))
			continue;
		memcpy(name, names, n);
		name[n] = '\0';
		nr = call_number(arch, bit, name);
		if (nr >= 0 && cs->n < CALLS_MAX) {
			cs->c[cs->n] = (struct call){ (uint32_t)nr, v, (uint32_t)cs->n };
			cs->n++;
		}
	}
}

static void calls_table(struct calls *cs, uint32_t arch, uint32_t bit, uint64_t caps)
{
	bool admin = caps >> CAP_SYS_ADMIN & 1;

	/* The first entry of a number wins. */
	for (size_t i = 0; i < countof(special); i++)
		calls_add(cs, arch, bit, special[i].names, special[i].verdict);
	for (size_t i = 0; i < countof(gated); i++)
		if (caps >> gated[i].cap & 1)
			calls_add(cs, arch, bit, gated[i].names, V_ALLOW);
	calls_add(cs, arch, bit, "clone ", admin ? V_ALLOW : V_CLONE);
	/* Its flags are in memory, out of a filter's reach; C libraries fall back to clone. */
	calls_add(cs, arch, bit, "clone3 ", admin ? V_ALLOW : V_ENOSYS);
	for (size_t i = 0; i < countof(gated); i++)
		calls_add(cs, arch, bit, gated[i].names, V_EPERM);
	calls_add(cs, arch, bit, allowed, V_ALLOW);
}

static int call_cmp(const void *a, const void *b)
{
	const struct call *x = a, *y = b;

	if (x->nr != y->nr)
		return x->nr < y->nr ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Sorted calls become intervals: what lies between them is ENOSYS, equal neighbours are one. */
static size_t intervals(struct calls *cs, struct call *out)
{
	uint32_t next = 0;
	size_t n = 0;

	qsort(cs->c, cs->n, sizeof(cs->c[0]), call_cmp);
	out[n++] = (struct call){ 0, V_ENOSYS, 0 };
	for (size_t i = 0; i < cs->n; i++) {
		struct call c = cs->c[i];

		if (i > 0 && c.nr == cs->c[i - 1].nr)
			continue;
		if (c.nr > next && out[n - 1].verdict != V_ENOSYS)
			out[n++] = (struct call){ next, V_ENOSYS, 0 };
		if (out[n - 1].nr == c.nr)
			out[n - 1].verdict = c.verdict;
		else if (out[n - 1].verdict != c.verdict)
			out[n++] = c;
		next = c.nr + 1;
	}
	if (out[n - 1].verdict != V_ENOSYS)
		out[n++] = (struct call){ next, V_ENOSYS, 0 };
	return n;
}

/* ---- intervals to code */

struct code {
	struct sock_filter f[CODE_MAX];
	size_t n;
	bool full;
};

static size_t emit(struct code *c, uint16_t op, uint8_t jt, uint8_t jf, uint32_t k)
{
	if (c->n >= CODE_MAX) {
		c->full = true;
		return 0;
	}
	c->f[c->n] = (struct sock_filter){ op, jt, jf, k };
	return c->n++;
}

static void ret(struct code *c, uint32_t action)
{
	emit(c, BPF_RET | BPF_K, 0, 0, action);
}

#define DENY(code) (SECCOMP_RET_ERRNO | (code))

/* Low 32 bits: all of these arguments are ints, or longs of which the kernel looks at the low half. */
static void load_arg(struct code *c, unsigned i)
{
	uint32_t at = (uint32_t)(offsetof(struct seccomp_data, args) + i * 8);

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	at += 4;
#endif
	emit(c, BPF_LD | BPF_W | BPF_ABS, 0, 0, at);
}

/* Allow when the loaded value is one of v, else (deny) the other way round. */
static void one_of(struct code *c, const uint32_t *v, uint8_t n, uint32_t found, uint32_t other)
{
	for (uint8_t i = 0; i < n; i++)
		emit(c, BPF_JMP | BPF_JEQ | BPF_K, (uint8_t)(n - i), 0, v[i]);
	ret(c, other);
	ret(c, found);
}

static void verdict_emit(struct code *c, enum verdict v)
{
	static const uint32_t personalities[] = { 0, 8, 0x20000, 0x20008, 0xffffffff };
	static const uint32_t terminal[] = { 0x5412 /* TIOCSTI */, 0x541c /* TIOCLINUX */ };
	static const uint32_t families[] = { 38 /* ALG */, 40 /* VSOCK */ };
	const uint32_t namespaces = 0x7e020000;

	switch (v) {
	case V_ENOSYS:
		ret(c, DENY(ENOSYS));
		break;
	case V_EPERM:
		ret(c, DENY(EPERM));
		break;
	case V_ALLOW:
		ret(c, SECCOMP_RET_ALLOW);
		break;
	case V_PERSONALITY:
		load_arg(c, 0);
		one_of(c, personalities, countof(personalities), SECCOMP_RET_ALLOW, DENY(EPERM));
		break;
	case V_SOCKET:
		load_arg(c, 0);
		one_of(c, families, countof(families), DENY(EPERM), SECCOMP_RET_ALLOW);
		break;
	case V_IOCTL:
		load_arg(c, 1);
		one_of(c, terminal, countof(terminal), DENY(EPERM), SECCOMP_RET_ALLOW);
		break;
	case V_CLONE:
#ifdef __s390__
		load_arg(c, 1);
#else
		load_arg(c, 0);
#endif
		emit(c, BPF_JMP | BPF_JSET | BPF_K, 0, 1, namespaces);
		ret(c, DENY(EPERM));
		ret(c, SECCOMP_RET_ALLOW);
		break;
	}
}

/* Make room for one more instruction at `at`; jumps are relative, so what moves stays right. */
static void make_room(struct code *c, size_t at)
{
	emit(c, BPF_JMP | BPF_JA, 0, 0, 0);
	memmove(&c->f[at + 1], &c->f[at], (c->n - at - 1) * sizeof(c->f[0]));
}

/* Search in v[from..to). Depth is the logarithm of their number. The kernel translates every instruction at every step: the fewer the better. */
static void search_emit(struct code *c, const struct call *v, size_t from, size_t to)
{
	size_t mid = from + (to - from) / 2, test, left;

	if (to - from == 1) {
		verdict_emit(c, v[from].verdict);
		return;
	}
	/* At or above the middle: over the left half, by a long jump where a short one (255) does not reach. */
	test = emit(c, BPF_JMP | BPF_JGE | BPF_K, 0, 0, v[mid].nr);
	search_emit(c, v, from, mid);
	left = c->n - test - 1;
	if (left <= UINT8_MAX) {
		c->f[test].jt = (uint8_t)left;
	} else {
		make_room(c, test + 1);
		c->f[test].jf = 1;
		c->f[test + 1] = (struct sock_filter){ BPF_JMP | BPF_JA, 0, 0, (uint32_t)left };
	}
	search_emit(c, v, mid, to);
}

static void profile(struct code *c, uint64_t caps)
{
	struct calls *cs = mem_alloc(sizeof(*cs));
	struct call *iv = mem_array(2 * CALLS_MAX + 2, sizeof(*iv));

	emit(c, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
	for (size_t i = 0; i < countof(abis); i++) {
		size_t jump, n;

		cs->n = 0;
		calls_table(cs, abis[i].scmp, 0, caps);
		if (abis[i].extra)
			calls_table(cs, abis[i].extra, abis[i].extra_bit, caps);
		n = intervals(cs, iv);
		emit(c, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, abis[i].audit);
		jump = emit(c, BPF_JMP | BPF_JA, 0, 0, 0);
		emit(c, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
		search_emit(c, iv, 0, n);
		c->f[jump].k = (uint32_t)(c->n - jump - 1);
	}
	ret(c, DENY(ENOSYS));
	free(cs);
	free(iv);
}

struct seccomp_filter {
	uint64_t caps;
	struct code code;
};

struct seccomp_filter *seccomp_filter(uint64_t caps)
{
	struct seccomp_filter *f = mem_zalloc(sizeof(*f));

	f->caps = caps;
	profile(&f->code, caps);
	return f;
}

int seccomp_install(const struct seccomp_filter *ready, uint64_t caps, struct err **e)
{
	AUTO(mem_freep) struct seccomp_filter *own = ready && ready->caps == caps ? NULL : seccomp_filter(caps);
	const struct code *c = own ? &own->code : &ready->code;
	struct sock_fprog prog = { (unsigned short)c->n, (struct sock_filter *)c->f };

	if (c->full)
		return err_set(e, ERR_BUG, "the system call filter is too long");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog) < 0)
		return err_errno(e, ERR_HOST, errno, "cannot install the system call filter");
	return 0;
}
