package vrrp

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// groupsMax and membersMax bound what edits add.
const (
	groupsMax  = 4
	membersMax = 4
)

// edit changes the configuration in one place and says how.
func (c *cluster) edit(r *rand.Rand, nodes int) string {
	c.version++
	edits := []func(*rand.Rand, *shared, int) string{
		c.editPriority, c.editPriority, c.editPriority, c.editPriorities, c.editInterval, c.editInterval, c.editPreempt,
		c.editName, c.editAddresses, c.editKey, c.editMembers, c.editMembers, c.moveMember, c.editGroups,
	}
	// Some do not fit what there is; the first always does.
	for {
		if what := oneOf(r, edits...)(r, oneOf(r, c.groups...), nodes); what != "" {
			return what
		}
	}
}

// editPriority changes the priority of one director, as tracking does.
func (c *cluster) editPriority(r *rand.Rand, g *shared, nodes int) string {
	i := r.IntN(nodes)
	g.priorities = slices.Clone(g.priorities)
	g.priorities[i] = oneOf[uint8](r, 1, 50, 99, 100, 101, 150, 200, 254)
	return fmt.Sprintf("%s: priority %d for lb%d", g.Name, g.priorities[i], i+1)
}

// editPriorities changes all priorities.
func (c *cluster) editPriorities(r *rand.Rand, g *shared, nodes int) string {
	g.priorities = priorities(r, nodes)
	return fmt.Sprintf("%s: priorities %v", g.Name, g.priorities)
}

// editInterval changes the interval, up to more than what is learned.
func (c *cluster) editInterval(r *rand.Rand, g *shared, _ int) string {
	g.AdvertisementInterval = c.pace * time.Duration(oneOf(r, 1, 2, 3, 8))
	if g.wholeSeconds() {
		g.AdvertisementInterval = time.Second * time.Duration(oneOf(r, 1, 2))
	}
	return fmt.Sprintf("%s: interval %v", g.Name, g.AdvertisementInterval)
}

// editPreempt changes whether a group preempts.
func (c *cluster) editPreempt(r *rand.Rand, g *shared, _ int) string {
	g.Preempt = c.preempt(r, g.AdvertisementInterval)
	return fmt.Sprintf("%s: preempt %+v", g.Name, g.Preempt)
}

// editName gives a group a name that no other ever had.
func (c *cluster) editName(_ *rand.Rand, g *shared, _ int) string {
	c.serial++
	old := g.Name
	g.Name = fmt.Sprintf("g%d", c.serial)
	return fmt.Sprintf("%s: now called %s", old, g.Name)
}

// editAddresses gives a member other virtual addresses.
func (c *cluster) editAddresses(r *rand.Rand, g *shared, _ int) string {
	g.Routers = slices.Clone(g.Routers)
	rc := &g.Routers[r.IntN(len(g.Routers))]
	rc.Addresses = nil
	for i := range r.IntN(4) {
		rc.Addresses = append(rc.Addresses, c.virtual(c.segment(rc.Interface), rc.RouterKey, i))
	}
	return fmt.Sprintf("%s/%s: addresses %s", g.Name, rc.Name, orNothing(joinPrefixes(rc.Addresses)))
}

// editKey signs with the other key.
func (c *cluster) editKey(r *rand.Rand, g *shared, _ int) string {
	g.Routers = slices.Clone(g.Routers)
	rc := &g.Routers[r.IntN(len(g.Routers))]
	if rc.Auth == nil {
		return ""
	}
	auth := *rc.Auth
	auth.Active = 3 - auth.Active
	rc.Auth = &auth
	return fmt.Sprintf("%s/%s: signed with key %d", g.Name, rc.Name, auth.Active)
}

// editMembers adds a member or takes one away.
func (c *cluster) editMembers(r *rand.Rand, g *shared, _ int) string {
	if len(g.Routers) < membersMax && r.IntN(2) == 0 {
		c.addRouter(r, g)
		rc := g.Routers[len(g.Routers)-1]
		return fmt.Sprintf("%s: new member %s", g.Name, describeRouter(rc))
	}
	if len(g.Routers) == 1 {
		return ""
	}
	i := r.IntN(len(g.Routers))
	name := g.Routers[i].Name
	g.Routers = slices.Delete(slices.Clone(g.Routers), i, i+1)
	return fmt.Sprintf("%s: without %s", g.Name, name)
}

// moveMember gives a member to another group.
func (c *cluster) moveMember(r *rand.Rand, g *shared, _ int) string {
	to := oneOf(r, c.groups...)
	i := r.IntN(len(g.Routers))
	rc := g.Routers[i]
	fits := rc.Version == Version3 || to.AdvertisementInterval%time.Second == 0
	if to == g || len(g.Routers) == 1 || len(to.Routers) >= membersMax || !fits {
		return ""
	}
	g.Routers = slices.Delete(slices.Clone(g.Routers), i, i+1)
	to.Routers = append(slices.Clone(to.Routers), rc)
	return fmt.Sprintf("%s: member %s goes to %s", g.Name, rc.Name, to.Name)
}

// editGroups adds a group or removes one.
func (c *cluster) editGroups(r *rand.Rand, g *shared, nodes int) string {
	if len(c.groups) < groupsMax && r.IntN(2) == 0 {
		c.addGroup(r, nodes)
		return "new group " + c.groups[len(c.groups)-1].describe()
	}
	if len(c.groups) == 1 {
		return ""
	}
	c.groups = slices.DeleteFunc(slices.Clone(c.groups), func(o *shared) bool { return o == g })
	return g.Name + ": removed"
}

// describe returns a group in words.
func (g *shared) describe() string {
	words := fmt.Sprintf("%s: priorities %v interval %v preempt %+v start delay %v",
		g.Name, g.priorities, g.AdvertisementInterval, g.Preempt, g.StartDelay)
	for _, rc := range g.Routers {
		words += "; " + describeRouter(rc)
	}
	return words
}

// describeRouter returns a router in words.
func describeRouter(rc RouterConfig) string {
	words := fmt.Sprintf("%s on %s %v vrid %d version %v %s", rc.Name, rc.Interface, rc.Family, rc.VRID, rc.Version,
		orNothing(joinPrefixes(rc.Addresses)))
	if rc.Unicast != nil {
		words += " unicast"
	}
	if rc.Password != "" {
		words += " password"
	}
	if rc.Auth != nil {
		words += fmt.Sprintf(" auth %v window %v", rc.Auth.Mode, rc.Auth.Window)
	}
	return words
}
