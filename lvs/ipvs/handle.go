package ipvs

import "github.com/moby/ipvs"

// Handle is the part of moby/ipvs that the client uses, as large as that
// library made it. Its edits fail with a bare errno: EEXIST for what is there
// already, ESRCH for a service that is not, ENOENT for a destination that is
// not and for a scheduler that the kernel cannot load.
type Handle interface {
	GetServices() ([]*ipvs.Service, error)
	NewService(*ipvs.Service) error
	UpdateService(*ipvs.Service) error
	DelService(*ipvs.Service) error

	GetDestinations(*ipvs.Service) ([]*ipvs.Destination, error)
	NewDestination(*ipvs.Service, *ipvs.Destination) error
	UpdateDestination(*ipvs.Service, *ipvs.Destination) error
	DelDestination(*ipvs.Service, *ipvs.Destination) error

	Close()
}

var _ Handle = (*ipvs.Handle)(nil)
