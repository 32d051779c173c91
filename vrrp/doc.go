// Package vrrp is the Virtual Router Redundancy Protocol, version 3
// (RFC 9568), as values: a codec, the election, and groups of virtual routers
// that move together.
//
// The package does no input or output, reads no clock and starts no
// goroutine. Its caller owns a Host and
//
//   - calls Handle with the present time and an Event: a packet received, a
//     change of an interface, an expired timer, a new configuration, the end;
//   - carries out the returned Actions in their order;
//   - arms one timer for Deadline and calls Handle with Expiry when it fires
//     (an early or stale Expiry is harmless);
//   - makes the addresses on its interfaces equal to Wanted.
package vrrp
