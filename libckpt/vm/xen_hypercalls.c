// SPDX-License-Identifier: GPL-2.0-only
#include "libckpt/vm/xen_hypercalls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xencall.h>
#include <xenctrl.h>
#include <xendevicemodel.h>
#include <xen/grant_table.h>

#define PAGE_BYTES 4096
/* Room for one vcpu's XSAVE area (AMX: 11 KiB) or MSRs. */
#define SCRATCH_PAGES 8

struct xen_calls {
	xc_interface *xch;
	uint32_t domid;
	unsigned long nr_pfns;
	int bitmap_pages;
	xc_hypercall_buffer_t bitmap, types, scratch;
	xendevicemodel_handle *model;
	xencall_handle *call;
	mmu_update_t *update;
	struct gnttab_get_version *query;
};

struct xen_calls *xen_calls_open(xc_interface *xch, uint32_t domid, uint64_t nr_pfns)
{
	struct xen_calls *calls = calloc(1, sizeof(*calls));

	if (!calls)
		return NULL;
	calls->xch = xch;
	calls->domid = domid;
	calls->nr_pfns = nr_pfns;
	/* Xen writes whole bytes, readers take whole words. */
	calls->bitmap_pages = (int)((nr_pfns / 8 + 8 + PAGE_BYTES - 1) / PAGE_BYTES);
	xc__hypercall_buffer_alloc_pages(xch, &calls->bitmap, calls->bitmap_pages);
	xc__hypercall_buffer_alloc_pages(xch, &calls->types,
					 XEN_TYPES_MAX * sizeof(uint64_t) / PAGE_BYTES);
	xc__hypercall_buffer_alloc_pages(xch, &calls->scratch, SCRATCH_PAGES);
	calls->model = xendevicemodel_open(NULL, 0);
	calls->call = xencall_open(NULL, 0);
	if (calls->call) {
		calls->update = xencall_alloc_buffer(calls->call, sizeof(*calls->update));
		calls->query = xencall_alloc_buffer(calls->call, sizeof(*calls->query));
	}
	if (!calls->bitmap.hbuf || !calls->types.hbuf || !calls->scratch.hbuf || !calls->model ||
	    !calls->update || !calls->query) {
		xen_calls_close(calls);
		return NULL;
	}
	memset(calls->bitmap.hbuf, 0, (size_t)calls->bitmap_pages * PAGE_BYTES);
	return calls;
}

void xen_calls_close(struct xen_calls *calls)
{
	if (!calls)
		return;
	if (calls->bitmap.hbuf)
		xc__hypercall_buffer_free_pages(calls->xch, &calls->bitmap, calls->bitmap_pages);
	if (calls->types.hbuf)
		xc__hypercall_buffer_free_pages(calls->xch, &calls->types,
						XEN_TYPES_MAX * sizeof(uint64_t) / PAGE_BYTES);
	if (calls->scratch.hbuf)
		xc__hypercall_buffer_free_pages(calls->xch, &calls->scratch, SCRATCH_PAGES);
	if (calls->update)
		xencall_free_buffer(calls->call, calls->update);
	if (calls->query)
		xencall_free_buffer(calls->call, calls->query);
	if (calls->call)
		xencall_close(calls->call);
	if (calls->model)
		xendevicemodel_close(calls->model);
	free(calls);
}

int xen_log_dirty_enable(xc_interface *xch, uint32_t domid)
{
	if (xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL, 0) >= 0)
		return 0;
	return errno == EINVAL ? EALREADY : errno;
}

int xen_log_dirty_disable(xc_interface *xch, uint32_t domid)
{
	return xc_shadow_control(xch, domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0) < 0 ? errno : 0;
}

int xen_log_dirty_clean(struct xen_calls *calls, int final, const uint64_t **words)
{
	const unsigned int mode = final ? XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL : 0;
	long long got;

	got = xc_logdirty_control(calls->xch, calls->domid, XEN_DOMCTL_SHADOW_OP_CLEAN,
				  &calls->bitmap, calls->nr_pfns, mode, NULL);
	if (got < 0)
		return errno;
	*words = calls->bitmap.hbuf;
	return 0;
}

int xen_log_dirty_peek(struct xen_calls *calls, unsigned int pfn, int *dirty)
{
	long long got;

	got = xc_logdirty_control(calls->xch, calls->domid, XEN_DOMCTL_SHADOW_OP_PEEK,
				  &calls->scratch, 64, 0, NULL);
	if (got < 0)
		return errno;
	*dirty = (int)(*(const uint64_t *)calls->scratch.hbuf >> pfn & 1);
	return 0;
}

int xen_mark_dirty_hvm(struct xen_calls *calls, uint64_t pfn)
{
	return xendevicemodel_modified_memory(calls->model, (domid_t)calls->domid, pfn, 1) ?
	       errno : 0;
}

int xen_mark_dirty_pv(struct xen_calls *calls, uint64_t mfn, uint64_t pfn)
{
	mmu_update_t *update = calls->update;

	/* The entry's own value again: Xen logs the page, nothing changes. */
	update->ptr = mfn * PAGE_BYTES | MMU_MACHPHYS_UPDATE;
	update->val = pfn;
	return xencall4(calls->call, __HYPERVISOR_mmu_update, (uintptr_t)update, 1, 0,
			calls->domid) < 0 ? errno : 0;
}

int xen_page_types(struct xen_calls *calls, uint64_t *frames, unsigned int count)
{
	struct xen_domctl domctl = {
		.cmd = XEN_DOMCTL_getpageframeinfo3,
		.domain = (domid_t)calls->domid,
		.u.getpageframeinfo3.num = count,
	};
	int tries = 5;

	set_xen_guest_handle_raw(domctl.u.getpageframeinfo3.array,
				 (xen_pfn_t *)calls->types.hbuf);
	/* EFAULT: Xen met a page of the buffer while the kernel moved it. */
	do {
		memcpy(calls->types.hbuf, frames, count * sizeof(*frames));
		if (!xc_domctl(calls->xch, &domctl)) {
			memcpy(frames, calls->types.hbuf, count * sizeof(*frames));
			return 0;
		}
	} while (errno == EFAULT && --tries);
	return errno;
}

int xen_resume(xc_interface *xch, uint32_t domid)
{
	vcpu_guest_context_any_t context;
	xc_domaininfo_t info;
	struct xen_domctl domctl = {
		.cmd = XEN_DOMCTL_resumedomain,
		.domain = (domid_t)domid,
	};

	if (xc_vcpu_getcontext(xch, domid, 0, &context))
		return errno;
	context.x64.user_regs.rax = 1;
	if (xc_domain_getinfolist(xch, domid, 1, &info) != 1 || info.domain != domid ||
	    info.flags & XEN_DOMINF_dying)
		return ESRCH;
	if (!(info.flags & XEN_DOMINF_shutdown) ||
	    (info.flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask) != SHUTDOWN_suspend)
		return EINVAL;
	if (xc_vcpu_setcontext(xch, domid, 0, &context))
		return errno;
	return xc_domctl(xch, &domctl) ? errno : 0;
}

int xen_grant_version(struct xen_calls *calls, unsigned int *version)
{
	struct gnttab_get_version *query = calls->query;

	query->dom = (domid_t)calls->domid;
	if (xencall3(calls->call, __HYPERVISOR_grant_table_op, GNTTABOP_get_version,
		     (uintptr_t)query, 1) < 0)
		return errno;
	*version = query->version;
	return 0;
}

/* Copies what a call left in `from`, if there is room for it. */
static int hand_over(const void *from, size_t bytes, void *buffer, size_t *size)
{
	const size_t room = *size;

	*size = bytes;
	if (bytes > room)
		return ENOBUFS;
	memcpy(buffer, from, bytes);
	return 0;
}

int xen_vcpu_extended(struct xen_calls *calls, unsigned int vcpu, void *buffer, size_t *size)
{
	struct xen_domctl domctl = {
		.cmd = XEN_DOMCTL_get_ext_vcpucontext,
		.domain = (domid_t)calls->domid,
		.u.ext_vcpucontext.vcpu = vcpu,
	};

	if (xc_domctl(calls->xch, &domctl))
		return errno;
	return hand_over(&domctl.u.ext_vcpucontext, domctl.u.ext_vcpucontext.size, buffer, size);
}

int xen_vcpu_xsave(struct xen_calls *calls, unsigned int vcpu, void *buffer, size_t *size)
{
	struct xen_domctl domctl = {
		.cmd = XEN_DOMCTL_getvcpuextstate,
		.domain = (domid_t)calls->domid,
		.u.vcpuextstate.vcpu = vcpu,
	};

	/* Asked without a buffer Xen says the size, which must then be given. */
	if (xc_domctl(calls->xch, &domctl))
		return errno;
	if (!domctl.u.vcpuextstate.xfeature_mask) {
		*size = 0;
		return 0;
	}
	if (domctl.u.vcpuextstate.size > SCRATCH_PAGES * PAGE_BYTES)
		return ENOBUFS;
	set_xen_guest_handle_raw(domctl.u.vcpuextstate.buffer, (uint64_t *)calls->scratch.hbuf);
	if (xc_domctl(calls->xch, &domctl))
		return errno;
	return hand_over(calls->scratch.hbuf, domctl.u.vcpuextstate.size, buffer, size);
}

int xen_vcpu_msrs(struct xen_calls *calls, unsigned int vcpu, void *buffer, size_t *size)
{
	const size_t room = SCRATCH_PAGES * PAGE_BYTES / sizeof(xen_domctl_vcpu_msr_t);
	struct xen_domctl domctl = {
		.cmd = XEN_DOMCTL_get_vcpu_msrs,
		.domain = (domid_t)calls->domid,
		.u.vcpu_msrs = { .vcpu = vcpu, .msr_count = (uint32_t)room },
	};

	set_xen_guest_handle_raw(domctl.u.vcpu_msrs.msrs,
				 (xen_domctl_vcpu_msr_t *)calls->scratch.hbuf);
	if (xc_domctl(calls->xch, &domctl))
		return errno;
	return hand_over(calls->scratch.hbuf,
			 domctl.u.vcpu_msrs.msr_count * sizeof(xen_domctl_vcpu_msr_t), buffer, size);
}
