# What every test guest starts with: a libOS header, trap entries and calls.
#   r15  call page, r14  boot information, r13  scratch buffer, r12  its guest-physical address
# A guest defines `main`. It may define `on_trap` (r11 = vector) and `on_syscall`;
# unless it does, a trap ends it with 100 + vector, a system call with 99.

.set DIRECT, 0x680000000000
.set PORT, 0x10
.set LOG, 1; .set EXIT, 2; .set RECORD, 3; .set MEMORY_ADD, 4; .set MEMORY_RELEASE, 5
.set WAIT, 6; .set ENTROPY, 7; .set ROOTFS_MAP, 8; .set STDIN_READ, 9
.set SOCKET_TABLE, 14; .set SOCKET_OPEN, 15; .set SOCKET_CLOSE, 16; .set SOCKET_BIND, 17
.set SOCKET_LISTEN, 18; .set SOCKET_ACCEPT, 19; .set SOCKET_SEND, 21; .set SOCKET_RECEIVE, 22

# CALL number, arguments…: leaves the status in rax
.macro CALL number, a=0, b=0, c=0, d=0
    movabs $\a, %rax
    mov %rax, 0(%r15)
    movabs $\b, %rax
    mov %rax, 8(%r15)
    movabs $\c, %rax
    mov %rax, 16(%r15)
    movabs $\d, %rax
    mov %rax, 24(%r15)
    mov $\number, %eax
    out %eax, $PORT
    mov 48(%r15), %rax
.endm

# ARG index, register: for calls whose arguments are computed; then DO number
.macro ARG index, value
    mov \value, 8*\index(%r15)
.endm
.macro DO number
    mov $\number, %eax
    out %eax, $PORT
    mov 48(%r15), %rax
.endm

# PRINT label, length: one LOG to standard output
.macro PRINT text, length
    movabs $\text, %rsi
    mov %r13, %rdi
    mov $\length, %ecx
    rep movsb
    movq $1, 0(%r15)
    ARG 1, %r12
    movq $\length, 16(%r15)
    DO LOG
.endm

# PRINT_WORD register: its eight bytes
.macro PRINT_WORD register
    mov \register, (%r13)
    movq $1, 0(%r15)
    ARG 1, %r12
    movq $8, 16(%r15)
    DO LOG
.endm

.macro FINISH code
    CALL EXIT, 0, \code
.endm

.text
header:
    .ascii "UNIKILN\0"
    .long 6, 336
    .quad start
    .quad boot_stack_top
    .quad syscall_entry
.set vector, 0
.rept 33
    .quad trap_table + 16 * vector
    .set vector, vector + 1
.endr
    .quad header, text_end
    .quad gate_flush_page, gate_load_root

start:
    mov %rdi, %r14
    movabs $DIRECT, %rax
    mov 72(%rdi), %r15
    add %rax, %r15
    mov 40(%rdi), %r12
    lea (%r12, %rax), %r13
    jmp main

.p2align 4
trap_table:
.set vector, 0
.rept 33
    .p2align 4
    mov $vector, %r11d
    jmp trap
    .set vector, vector + 1
.endr
    .p2align 4
trap:
    movabs $trap_stack_top, %rsp
    jmp on_trap
syscall_entry:
    movabs $trap_stack_top, %rsp
    jmp on_syscall

.data
    .fill 4096, 1, 0
boot_stack_top:
    .fill 4096, 1, 0
trap_stack_top:

.text
