// Package vm runs kernels of Debian in virtual machines whose ports are in bridges of the test's own network namespace:
// kernels with bonds, VLANs, routing domains and service proxies, which the machine of the test may not have. QEMU uses
// KVM where it works and translates the machine's instructions otherwise.
//
// A machine has no disk. Its files are those of an archive in its memory, and it takes commands by a serial port. All
// ends with the process of the test. Needs root; nothing on the machine's own network is touched.
package vm
