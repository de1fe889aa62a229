/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The calls into Xen that its C++-hostile macros or its missing prototypes
 * keep out of the .cc files: everything here depends on the Xen version that
 * the program is built for (domctl interface) and on nothing of ours.
 *
 * Every function returns 0 or a positive errno value, unless said otherwise.
 */
#ifndef LIBCKPT_VM_XEN_HYPERCALLS_H
#define LIBCKPT_VM_XEN_HYPERCALLS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xc_interface_core;

/* Pages that one call may ask the types of. */
#define XEN_TYPES_MAX 1024

/*
 * A guest's calls, with the hypercall-safe buffers that they need allocated
 * once. Not thread-safe. `nr_pfns`: guest frames that the dirty bitmap covers.
 */
struct xen_calls;
struct xen_calls *xen_calls_open(struct xc_interface_core *xch, uint32_t domid,
				 uint64_t nr_pfns);
void xen_calls_close(struct xen_calls *calls);

/*
 * Log-dirty. EOPNOTSUPP: this hypervisor has none for this kind of guest;
 * EALREADY: it is on; EBUSY: another such call is under way.
 */
int xen_log_dirty_enable(struct xc_interface_core *xch, uint32_t domid);
int xen_log_dirty_disable(struct xc_interface_core *xch, uint32_t domid);
/*
 * Reads the dirty bitmap and clears it; `final` adds the pages that Xen itself
 * keeps mapped (HVM). The words stay valid until the next call. ENOMEM: Xen
 * could not log for want of memory. NB: with log-dirty off this succeeds and
 * finds nothing.
 */
int xen_log_dirty_clean(struct xen_calls *calls, int final, const uint64_t **words);
/* Whether this one page, below pfn 64, is logged as dirty; clears nothing. */
int xen_log_dirty_peek(struct xen_calls *calls, unsigned int pfn, int *dirty);
/* Logs a page as dirty: HVM by a device-model call, PV by its m2p entry. */
int xen_mark_dirty_hvm(struct xen_calls *calls, uint64_t pfn);
int xen_mark_dirty_pv(struct xen_calls *calls, uint64_t mfn, uint64_t pfn);

/*
 * Types of `count` (at most XEN_TYPES_MAX) frames: gfns (HVM) or mfns (PV) in,
 * each overwritten with Xen's type in the low 32 bits.
 */
int xen_page_types(struct xen_calls *calls, uint64_t *frames, unsigned int count);

/*
 * Runs a suspended guest on, its suspend call returning "cancelled": what
 * xc_domain_resume() does, in fewer calls and with a look whether the domain is
 * being destroyed: to set the registers of such a PVH guest is to crash the
 * whole host (Xen 4.17, hvmemul_cancel() of freed memory). ESRCH: it is;
 * EINVAL: it isn't suspended.
 */
int xen_resume(struct xc_interface_core *xch, uint32_t domid);

/* The layout of a guest's grant table: 1 or 2. */
int xen_grant_version(struct xen_calls *calls, unsigned int *version);

/*
 * Parts of a PV vcpu's state; `*size` in: room, out: bytes filled, 0 where the
 * vcpu has no such state. ENOBUFS: `*size` is what it takes.
 */
int xen_vcpu_extended(struct xen_calls *calls, unsigned int vcpu, void *buffer, size_t *size);
int xen_vcpu_xsave(struct xen_calls *calls, unsigned int vcpu, void *buffer, size_t *size);
int xen_vcpu_msrs(struct xen_calls *calls, unsigned int vcpu, void *buffer, size_t *size);

#ifdef __cplusplus
}
#endif

#endif
