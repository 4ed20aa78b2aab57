//! in_foreign: nor can a foreign port be read.
//! build: static
//! exit: 139
//! record: SIGSEGV (privileged instruction: in)|listen_at|main+
__attribute__((noinline)) static unsigned listen_at(unsigned short port) {
    unsigned value;
    __asm__ volatile("inl %%dx,%%eax" : "=a"(value) : "d"(port));
    return value;
}

int main(void) { return (int)listen_at(0xcf8); }
