/** How far the sieve goes. */
export const LIMIT = 1_000_000;

/** A sieve of Eratosthenes that prints the small primes, how many there are, and a checksum over all of them. */
export const PRIMES: string = `
        li    sp, 0x80100000      # the stack, below the sieve
        li    s0, 0x80100000      # the sieve: a byte for each number, not 0 where it is struck
        li    s1, ${LIMIT}
        add   s5, s0, s1          # its end
        li    s6, 1
        li    s2, 0               # how many
        li    s3, 0               # checksum
        li    s4, 2               # the candidate
        li    s7, 50
candidate:
        add   t0, s0, s4
        lbu   t1, 0(t0)
        bnez  t1, advance
        addi  s2, s2, 1
        slli  t2, s3, 5           # rotate by 5, then mix the prime in
        srli  t3, s3, 27
        or    s3, t2, t3
        xor   s3, s3, s4
        add   t0, t0, s4
strike:
        bgeu  t0, s5, struck
        sb    s6, 0(t0)
        add   t0, t0, s4
        j     strike
struck:
        bgeu  s4, s7, advance
        mv    a0, s4
        call  decimal
        li    a0, 32
        call  put
advance:
        addi  s4, s4, 1
        bltu  s4, s1, candidate

        la    a0, counted
        call  text
        mv    a0, s2
        call  decimal
        la    a0, checksum
        call  text
        mv    a0, s3
        call  hexadecimal
        li    a0, 10
        call  put
        li    a0, 0               # exit(0), as on Linux
        li    a7, 93
        ecall

put:                              # the byte in a0, when the console is ready
        li    t0, 0x10000000
ready:
        lbu   t1, 5(t0)
        andi  t1, t1, 0x20
        beqz  t1, ready
        sb    a0, 0(t0)
        ret

text:                             # the string at a0
        addi  sp, sp, -16
        sw    ra, 12(sp)
        mv    a1, a0
letter:
        lbu   a0, 0(a1)
        beqz  a0, leave
        call  put
        addi  a1, a1, 1
        j     letter

decimal:                          # a0: there is no divide instruction, so powers of ten are taken off
        addi  sp, sp, -16
        sw    ra, 12(sp)
        mv    a1, a0
        la    a2, powers
        li    a3, 0               # not 0 once a digit was not 0
digit:
        lw    a4, 0(a2)
        beqz  a4, leave
        li    a0, 0
subtract:
        bltu  a1, a4, subtracted
        sub   a1, a1, a4
        addi  a0, a0, 1
        j     subtract
subtracted:
        or    a3, a3, a0
        slti  t2, a4, 2           # the last digit stands even if it is 0
        or    t2, t2, a3
        beqz  t2, further
        addi  a0, a0, 48
        call  put
further:
        addi  a2, a2, 4
        j     digit

hexadecimal:                      # a0, eight digits
        addi  sp, sp, -16
        sw    ra, 12(sp)
        mv    a1, a0
        li    a2, 28
        la    a3, digits
nibble:
        srl   a0, a1, a2
        andi  a0, a0, 15
        add   a0, a0, a3
        lbu   a0, 0(a0)
        call  put
        addi  a2, a2, -4
        bge   a2, zero, nibble
leave:
        lw    ra, 12(sp)
        addi  sp, sp, 16
        ret

powers: .word 1000000, 100000, 10000, 1000, 100, 10, 1, 0
digits: .asciz "0123456789abcdef"
counted: .asciz "...\\nprimes: "
checksum: .asciz "\\nchecksum: "
`;

/** Reads a word across each end of a page until there is no more RAM: what firmware does to learn how much there is. */
export const SIZE_RAM: string = `
        li    t0, 0x80001000
        li    t1, 0x1000
probe:
        lw    t2, -2(t0)
        add   t0, t0, t1
        j     probe
`;
