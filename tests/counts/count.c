/* A plugin for QEMU's user emulation (TCG plugins, QEMU 7.2) that counts what the guest executes.
 *
 * At exit it prints one line on the emulator's log: "count TOTAL", and with the argument blocks=on before it a line for each
 * translated block: "block ADDRESS INSTRUCTIONS TIMES". Debian ships no header for the interface, so what is
 * used of it is declared here, as documented in QEMU's docs/devel/tcg-plugins. */

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct tb;
struct insn;
enum { INLINE_ADD = 0 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct tb *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct tb *, int operation, void *where, uint64_t value);
extern size_t qemu_plugin_tb_n_insns(const struct tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct tb *);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
extern void qemu_plugin_outs(const char *);

EXPORT int qemu_plugin_version = 1;

static uint64_t executed;

/* What is counted block by block; a block may be translated more than once. */
enum { MOST = 1 << 18 };
static struct block {
    uint64_t address, instructions, times;
} *blocks;
static size_t known;

static struct block *found(uint64_t address, uint64_t instructions)
{
    for (size_t i = 0; i < known; i++)
        if (blocks[i].address == address && blocks[i].instructions == instructions)
            return &blocks[i];
    if (known == MOST)
        abort();
    blocks[known] = (struct block){ address, instructions, 0 };
    return &blocks[known++];
}

/* A translated block runs from its first to its last instruction, so one addition serves them all. */
static void translated(plugin_id id, struct tb *block)
{
    size_t instructions = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD, &executed, instructions);
    if (blocks) {
        struct block *own = found(qemu_plugin_tb_vaddr(block), instructions);
        qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD, &own->times, 1);
    }
}

static void at_exit(plugin_id id, void *unused)
{
    char line[96];
    for (size_t i = 0; i < known; i++)
        if (blocks[i].times) {
            snprintf(line, sizeof line, "block %" PRIx64 " %" PRIu64 " %" PRIu64 "\n", blocks[i].address,
                     blocks[i].instructions, blocks[i].times);
            qemu_plugin_outs(line);
        }
    snprintf(line, sizeof line, "count %" PRIu64 "\n", executed);
    qemu_plugin_outs(line);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    if (argc > 0 && !strcmp(argv[0], "blocks=on") && !(blocks = calloc(MOST, sizeof *blocks)))
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
