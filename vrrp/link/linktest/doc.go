// Package linktest is what package link is on a real machine, without a
// machine: LANs in memory for whole directors in virtual time, and a kernel
// that keeps addresses the way Linux does.
//
// A LAN takes its time from package time, so that within a testing/synctest
// bubble hours of a cluster pass in milliseconds. It must then be made inside
// the bubble. Everything random comes from its seed.
package linktest
