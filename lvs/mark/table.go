package mark

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tableName is the name of our table, of the family inet. Nobody else's table
// is changed.
const tableName = "bascule"

// ownerName is the name of a chain without a hook and rules, by which a table of
// our name is ours: an administrator may have made one.
const ownerName = "made_by_bascule"

// errForeign is about a table of our name that somebody else has made.
var errForeign = fmt.Errorf("nftables table inet %s: made by somebody else, for it has no chain %s: rename it, or delete it", tableName, ownerName)

// table returns our table.
func table() *nftables.Table {
	return &nftables.Table{Name: tableName, Family: nftables.TableFamilyINet}
}

// owner returns the chain that says whose the table is.
func owner() *nftables.Chain {
	return &nftables.Chain{Name: ownerName, Table: table()}
}

// chains returns our base chains, which have the same rules: one for packets that
// come in, and one for those of clients on this machine. IPVS takes both later,
// in the hooks input and output. The type is filter, also where route would
// have the route chosen again, for that is left to IPVS.
func chains() []*nftables.Chain {
	policy := nftables.ChainPolicyAccept
	chain := func(name string, hook *nftables.ChainHook) *nftables.Chain {
		return &nftables.Chain{Name: name, Table: table(), Type: nftables.ChainTypeFilter,
			Hooknum: hook, Priority: nftables.ChainPriorityMangle, Policy: &policy}
	}
	return []*nftables.Chain{
		chain("prerouting", nftables.ChainHookPrerouting),
		chain("output", nftables.ChainHookOutput),
	}
}

// bufferSize is the most that the kernel holds of one transaction, which is one
// message, and of its answers: enough for some 20000 rules. It is a limit, and
// takes no memory by itself.
const bufferSize = 32 << 20

// open returns a connection to the nftables of the thread's network namespace.
func open() (*nftables.Conn, error) {
	c, err := nftables.New(nftables.WithSockOptions(func(conn *netlink.Conn) error {
		return errors.Join(conn.SetWriteBuffer(bufferSize), conn.SetReadBuffer(bufferSize))
	}))
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	return c, nil
}

// Apply makes the table of the thread's network namespace that of the rules,
// in one transaction, unless it is. Without rules there is no table. A table of
// our name that is not ours is an error, unless there are no rules.
func Apply(rules []Rule) error {
	same, err := Check(rules)
	switch {
	case err != nil || same:
		return err
	case len(rules) == 0:
		return Remove()
	}
	c, err := open()
	if err != nil {
		return err
	}
	clearTable(c)
	c.AddTable(table())
	for _, chain := range chains() {
		c.AddChain(chain)
		for _, r := range rules {
			c.AddRule(&nftables.Rule{Table: table(), Chain: chain, Exprs: r.expressions()})
		}
	}
	c.AddChain(owner())
	if err := c.Flush(); err != nil {
		return fmt.Errorf("replace the nftables table inet %s: %w", tableName, err)
	}
	return nil
}

// Remove removes the table, if it is there and ours.
func Remove() error {
	c, err := open()
	if err != nil {
		return err
	}
	switch have, err := survey(c); {
	case err != nil && !errors.Is(err, unix.ENOENT):
		return fmt.Errorf("read the nftables table inet %s: %w", tableName, err)
	case !have.ours():
		return nil
	}
	clearTable(c)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("remove the nftables table inet %s: %w", tableName, err)
	}
	return nil
}

// clearTable adds the deletion of the table to a transaction. It is added
// before: to delete what is not there would fail.
func clearTable(c *nftables.Conn) {
	c.AddTable(table())
	c.DelTable(table())
}

// Check says whether the table is that of the rules: somebody may have flushed
// it.
func Check(rules []Rule) (bool, error) {
	for _, r := range rules {
		if err := r.validate(); err != nil {
			return false, err
		}
	}
	c, err := open()
	if err != nil {
		return false, err
	}
	same, err := compare(c, rules)
	for n := 1; n < looks && !same && err == nil && len(rules) > 0; n++ {
		same, err = compare(c, rules)
	}
	switch {
	case errors.Is(err, unix.ENOENT): // it has gone meanwhile
		return false, nil
	case errors.Is(err, errForeign):
		return false, err
	case err != nil:
		return false, fmt.Errorf("read the nftables table inet %s: %w", tableName, err)
	}
	return same, nil
}

// present is what the kernel has of the name of our table.
type present struct {
	table  *nftables.Table // nil if there is none
	chains []*nftables.Chain
}

// looks is how often the kernel is read before something is believed to be
// missing: its lists leave something out while another program edits tables of
// its own, and the library does not tell.
const looks = 20

// survey reads what the kernel has of the name of our table, without the rules.
func survey(c *nftables.Conn) (have present, err error) {
	for range looks {
		if have, err = look(c); err != nil || have.table == nil || have.ours() {
			break
		}
	}
	return have, err
}

// look is survey in one reading.
func look(c *nftables.Conn) (present, error) {
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return present{}, err
	}
	i := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == tableName })
	if i < 0 {
		return present{}, nil
	}
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return present{}, err
	}
	chains = slices.DeleteFunc(chains, func(h *nftables.Chain) bool { return h.Table.Name != tableName })
	return present{tables[i], chains}, nil
}

// ours says whether there is a table, and it is ours.
func (p present) ours() bool {
	return slices.ContainsFunc(p.chains, func(c *nftables.Chain) bool { return c.Name == ownerName && c.Hooknum == nil })
}

// compare compares the rules with the kernel's table. A table of somebody else
// is as good as none if there are no rules, or else an error.
func compare(c *nftables.Conn, rules []Rule) (bool, error) {
	have, err := survey(c)
	switch {
	case err != nil:
		return false, err
	case len(rules) == 0:
		return !have.ours(), nil
	case have.table == nil:
		return false, nil
	case !have.ours():
		return false, errForeign
	}
	if have.table.Flags != 0 || len(have.chains) != len(chains())+1 { // such as dormant
		return false, nil
	}
	if same, err := compareChain(c, owner(), nil); !same || err != nil {
		return false, err
	}
	for _, chain := range chains() {
		if !slices.ContainsFunc(have.chains, func(h *nftables.Chain) bool { return sameChain(h, chain) }) {
			return false, nil
		}
		if same, err := compareChain(c, chain, rules); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

// sameChain compares a chain with a base chain of ours.
func sameChain(have, want *nftables.Chain) bool {
	return have.Name == want.Name && have.Type == want.Type &&
		have.Hooknum != nil && *have.Hooknum == *want.Hooknum &&
		have.Priority != nil && *have.Priority == *want.Priority &&
		have.Policy != nil && *have.Policy == *want.Policy
}

// compareChain compares the rules with those of one chain.
func compareChain(c *nftables.Conn, chain *nftables.Chain, rules []Rule) (bool, error) {
	have, err := c.GetRules(table(), chain)
	if err != nil {
		return false, err
	}
	for i := range have {
		if i >= len(rules) {
			break
		}
		got, err := encode(have[i].Exprs)
		if err != nil {
			return false, err
		}
		want, err := encode(rules[i].expressions())
		if err != nil {
			return false, err
		}
		if got != want {
			return false, nil
		}
	}
	return len(have) == len(rules), nil
}

// encode returns expressions as they are sent to the kernel, to be compared.
func encode(expressions []expr.Any) (string, error) {
	var out []byte
	for _, e := range expressions {
		b, err := expr.Marshal(byte(nftables.TableFamilyINet), e)
		if err != nil {
			return "", err
		}
		out = append(out, b...)
	}
	return string(out), nil
}
