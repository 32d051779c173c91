package realserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// AddDevice makes the interface of a tunnel from anywhere to anywhere. The
// kernel loads the module for that, and may find then that there is one.
func (l *Linux) AddDevice(d Device) error {
	var err error
	if d.Own {
		err = d.requestOwn()
	} else {
		err = l.handle.LinkAdd(tunnelLink(d))
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("%w (module %s)", ErrUnsupported, d.module())
	}
	return err
}

// tunnelLink is a device such as the kernel makes by itself, for the netlink
// library.
func tunnelLink(d Device) netlink.Link {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = d.Name
	switch d.Kind {
	case "gre":
		return &netlink.Gretun{LinkAttrs: attrs, Local: net.IPv4zero, Remote: net.IPv4zero}
	case "ip6gre":
		return &netlink.Gretun{LinkAttrs: attrs, Local: net.IPv6zero, Remote: net.IPv6zero}
	case "sit":
		return &netlink.Sittun{LinkAttrs: attrs, Local: net.IPv4zero, Remote: net.IPv4zero, Proto: unix.IPPROTO_IPV6}
	}
	return &netlink.Iptun{LinkAttrs: attrs, Local: net.IPv4zero, Remote: net.IPv4zero, Proto: unix.IPPROTO_IPIP}
}

// allowLocalRemote has an interface take packets whose outer source is an
// address of this machine, too (IP6_TNL_F_ALLOW_LOCAL_REMOTE of
// linux/ip6_tunnel.h): a director may choose the virtual address as the source.
const allowLocalRemote = 0x40

// anyProtocol has an interface unwrap both families.
const anyProtocol = 0

// requestOwn has the kernel make an interface in external mode, which gives it
// what no interface with addresses is for. The library would leave out what
// such an interface needs besides.
func (d Device) requestOwn() error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(d.Name)))
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(d.Kind))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	if d.Kind == "ip6tnl" {
		data.AddRtAttr(nl.IFLA_IPTUN_COLLECT_METADATA, nil)
		data.AddRtAttr(nl.IFLA_IPTUN_PROTO, []byte{anyProtocol})
		data.AddRtAttr(nl.IFLA_IPTUN_FLAGS, nl.Uint32Attr(allowLocalRemote))
	} else {
		var flags uint16
		if d.Checksum {
			flags = nl.GRE_CSUM
		}
		data.AddRtAttr(nl.IFLA_GRE_COLLECT_METADATA, nil)
		data.AddRtAttr(nl.IFLA_GRE_IFLAGS, binary.BigEndian.AppendUint16(nil, flags))
	}
	req.AddData(info)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// DeleteDevice takes an interface away.
func (l *Linux) DeleteDevice(name string) error {
	link, err := l.link(name)
	if err != nil {
		return err
	}
	return l.handle.LinkDel(link)
}

// Ports lists the UDP ports that unwrap GUE.
func (l *Linux) Ports() ([]Port, error) {
	list, err := dump(func() ([]netlink.Fou, error) { return l.handle.FouList(unix.AF_UNSPEC) })
	if errors.Is(err, unix.ENOENT) {
		// Nothing but its name would make the kernel load it.
		return nil, fmt.Errorf("GUE: %w, unless the module fou is loaded", ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("list the UDP ports of GUE: %w", err)
	}
	var out []Port
	for _, f := range list {
		if f.EncapType == netlink.FOU_ENCAP_GUE {
			out = append(out, Port{uint16(f.Port), f.Family == unix.AF_INET6})
		}
	}
	return out, nil
}

// AddPort opens a port. The library would name an inner protocol, too, of
// which GUE has none, and newer kernels refuse that it is zero.
func (l *Linux) AddPort(p Port) error {
	return p.request(netlink.FOU_CMD_ADD, nl.NewRtAttr(netlink.FOU_ATTR_TYPE, []byte{netlink.FOU_ENCAP_GUE}))
}

// DeletePort closes a port.
func (l *Linux) DeletePort(p Port) error { return p.request(netlink.FOU_CMD_DEL) }

// request sends a command about a port to the kernel.
func (p Port) request(command uint8, more ...*nl.RtAttr) error {
	id, err := netlink.FouFamilyId()
	if err != nil {
		return err
	}
	family := uint8(unix.AF_INET)
	if p.IPv6 {
		family = unix.AF_INET6
	}
	req := nl.NewNetlinkRequest(id, unix.NLM_F_ACK)
	req.AddData(&nl.Genlmsg{Command: command, Version: 1})
	req.AddData(nl.NewRtAttr(netlink.FOU_ATTR_PORT, binary.BigEndian.AppendUint16(nil, p.Number)))
	req.AddData(nl.NewRtAttr(netlink.FOU_ATTR_AF, []byte{family}))
	for _, attribute := range more {
		req.AddData(attribute)
	}
	_, err = req.Execute(unix.NETLINK_GENERIC, 0)
	return err
}
