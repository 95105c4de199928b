//! Who is there and who owns what: the members of a zone, the configuration of its partitions, leases. No I/O, no
//! threads, no clock: it is told the time and what came, and says what to send and to keep.
