// Package link is the Linux side of the election: it sends and receives
// advertisements, watches interfaces, keeps virtual addresses on them or off
// them, and announces them by gratuitous ARP and unsolicited neighbour
// advertisements.
//
// A Network has one port for each interface that the wanted state names. Ports
// are known by the name of their interface, so that an interface may vanish
// and come back under another index. Each port has three goroutines, and one
// more for each open socket. They wake each other and read what the others
// publish; only at the end does the observer wait for its readers:
//
//   - the observer reads the state of the interface, opens a socket for the
//     advertisements of each family that the wanted addresses belong to, and
//     reports vrrp.LinkState for each;
//   - the reader of each socket hands over what it receives;
//   - the addresser makes the addresses on the interface equal to what is
//     wanted, and repairs them when somebody else changes them;
//   - the announcer announces addresses that are there.
//
// One more goroutine listens to the kernel's notifications. They are used as
// hints only: whoever is woken by one reads the state itself, so a lost hint
// costs time and never truth.
package link
