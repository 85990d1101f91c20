// Package vm runs kernels of Debian in virtual machines whose ports are in bridges of the test's own network namespace:
// kernels with bonds, VLANs, routing domains and service proxies, which the machine of the test may not have. QEMU uses
// KVM where it works and translates the machine's instructions otherwise.
//
// A virtual machine has no disk: an archive in memory has its files. It takes commands over a serial port. All machines
// end with the process of the test. The package needs root, and touches nothing on the network of the host.
package vm
