// Package lab builds the network of a small highly available web site out of
// network namespaces, and what is needed to watch it fail:
//
//	                client 192.168.56.1
//	                       |
//	   LAN "public", 192.168.56.0/24, VIP 192.168.56.10
//	        |                              |
//	lb .11 enp0s3                  lb2 .12 enp0s3
//	lb .251 enp0s8                 lb2 .252 enp0s8
//	        |                              |
//	LAN "internal", 192.168.200.0/24, VIP 192.168.200.250
//	     |                 |                  |
//	  web1 .11          web2 .12           web3 .13
//
// Each host has an IPv6 address of the same digits on each LAN too:
// 192.168.56.11 and fd00:56::11. The IPv6 virtual routers have the VRIDs of the
// IPv4 ones, and the addresses fe80::100 and fd00:56::10, fe80::250 and
// fd00:200::250.
//
// The two directors run bascule (Director), keepalived (Keepalived), of this
// machine or of another Debian (DebianRoot), or FRR's vrrpd (FRR); the web
// servers (WebServer) answer with their names and route through the internal
// VIP; a Probe on the client finds the gaps in service; a Capture on the two
// bridges sees who claimed to be active.
//
// What the directors balance is said once (Service, Crowd) and put into the words
// of both programs; CrowdServers are the real servers of a Crowd at work, which
// count the checks that they answer. AddDirect adds hosts on the public LAN for direct routing and
// tunnels, direct1 .21 and direct2 .22, which answer clients themselves. Hosts
// answer Questions by TCP, UDP and SCTP (Respond), or serve Downloads, which count
// the connections that a fail-over breaks.
//
// A laboratory needs root, Linux, and the programs that .ci/provision
// installs. IPVS needs a kernel that has it: testdata/vm/exec runs a program
// where there is one.
package lab
