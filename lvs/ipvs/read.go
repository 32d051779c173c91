package ipvs

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"

	"bascule/lvs"
)

// perService is how many destinations it takes as long to read as to ask for
// those of one service.
const perService = 4

// tableReader is one reading of the services and of destinations.
type tableReader struct {
	*Client
	table  lvs.Table
	usage  lvs.UsageTable
	vacant bool // a service has no destinations
}

// readTable reads the services, and the destinations of those that ReadPart
// says.
func (c *Client) readTable(reading *lvs.Reading, known lvs.Table, limit int) error {
	if err := c.readServices(); err != nil {
		return err
	}
	r := tableReader{Client: c, table: make(lvs.Table, len(c.services)), usage: make(lvs.UsageTable)}
	reading.Table, reading.Usage = r.table, r.usage
	var rest []lvs.ServiceKey
	for i := range c.services {
		service, expressible := serviceFrom(&c.services[i])
		if !expressible {
			continue
		}
		r.table[service.ServiceKey] = lvs.Entry{Service: service}
		// Who has changed a service may have made it anew, with other destinations.
		_, doubtful := c.doubtful[c.services[i].ServiceID]
		if present, there := known[service.ServiceKey]; there && present.Service == service && !doubtful {
			r.table[service.ServiceKey] = lvs.Entry{Service: service, Destinations: present.Destinations}
			rest = append(rest, service.ServiceKey)
			continue
		}
		if err := r.read(service.ServiceKey); err != nil {
			return err
		}
	}
	if err := r.readSome(rest, limit); err != nil {
		return err
	}
	if r.vacant || known == nil {
		if err := r.compare(); err != nil {
			return err
		}
	}
	clear(c.doubtful)
	return nil
}

// readSome reads the destinations of some services, in turn.
func (r *tableReader) readSome(keys []lvs.ServiceKey, limit int) error {
	slices.SortFunc(keys, lvs.ServiceKey.Compare)
	first := sort.Search(len(keys), func(i int) bool { return keys[i].Compare(r.turn) > 0 })
	for _, key := range slices.Concat(keys[first:], keys[:first]) {
		if limit <= 0 {
			break
		}
		if err := r.read(key); err != nil {
			return err
		}
		r.turn = key
		limit -= perService + len(r.table[key].Destinations)
	}
	return nil
}

// read reads the destinations of a service.
func (r *tableReader) read(key lvs.ServiceKey) (err error) {
	r.destinations, err = r.handle.Destinations(idOf(key), r.destinations[:0])
	if err != nil {
		return fmt.Errorf("ipvs: read the destinations of %v: %w", key, err)
	}
	destinations := make(map[netip.AddrPort]lvs.Destination, len(r.destinations))
	usage := make(map[netip.AddrPort]lvs.Usage, len(r.destinations))
	for i := range r.destinations {
		d := destinationFrom(&r.destinations[i])
		destinations[d.Address], usage[d.Address] = d, r.destinations[i].Usage
	}
	r.table[key] = lvs.Entry{Service: r.table[key].Service, Destinations: destinations}
	r.usage[key] = usage
	r.vacant = r.vacant || len(destinations) == 0
	return nil
}

// compare reads the services once more, for others may have edited the table
// while it was read, and adds those that are new, and drops those that are gone.
// The kernel tells its services in parts, and leaves one out where one before it
// has been deleted meanwhile. One that is deleted after it was listed answers
// with no destinations, not with an error.
func (r *tableReader) compare() error {
	if err := r.readServices(); err != nil {
		return err
	}
	present := make(map[lvs.ServiceKey]bool, len(r.services))
	for i := range r.services {
		service, expressible := serviceFrom(&r.services[i])
		if !expressible {
			continue
		}
		present[service.ServiceKey] = true
		if _, read := r.table[service.ServiceKey]; read {
			continue
		}
		r.table[service.ServiceKey] = lvs.Entry{Service: service}
		if err := r.read(service.ServiceKey); err != nil {
			return err
		}
	}
	for key, entry := range r.table {
		if !present[key] && len(entry.Destinations) == 0 {
			delete(r.table, key)
			delete(r.usage, key)
		}
	}
	return nil
}
