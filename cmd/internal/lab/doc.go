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
// The two directors run bascule (Director) or keepalived (Keepalived); the
// web servers (WebServer) answer with their names and route through the
// internal VIP; a Probe on the client finds the gaps in service; a Capture on
// the two bridges sees who claimed to be active.
//
// A laboratory needs root and Linux. IPVS needs a kernel that has it:
// testdata/vm/exec runs a program where there is one.
package lab
