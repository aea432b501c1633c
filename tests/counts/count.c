/* A plugin for QEMU's user emulation (TCG plugins, QEMU 7.2) that counts what the guest executes.
 *
 * At exit it prints one line on the emulator's log: "count TOTAL". Debian ships no header for the interface, so what is
 * used of it is declared here, as documented in QEMU's docs/devel/tcg-plugins. */

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct tb;
struct insn;
enum { INLINE_ADD = 0 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct tb *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct tb *, int operation, void *where, uint64_t value);
extern size_t qemu_plugin_tb_n_insns(const struct tb *);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
extern void qemu_plugin_outs(const char *);

EXPORT int qemu_plugin_version = 1;

static uint64_t executed;

/* A translated block runs from its first to its last instruction, so one addition serves them all. */
static void translated(plugin_id id, struct tb *block)
{
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD, &executed, qemu_plugin_tb_n_insns(block));
}

static void at_exit(plugin_id id, void *unused)
{
    char line[64];
    snprintf(line, sizeof line, "count %" PRIu64 "\n", executed);
    qemu_plugin_outs(line);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
