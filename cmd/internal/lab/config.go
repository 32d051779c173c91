package lab

// ReferenceConfig is the configuration of bascule for the laboratory's two
// directors: both virtual routers in the group "web", lb preferred, and the
// virtual server "www" that gives web1 three requests for each one that it
// gives to web2 and to web3.
const ReferenceConfig = `nodes = ["lb", "lb2"]

[group.web]
priority = { lb = 150, lb2 = 100 }
advertisement_interval = "1s"
preempt = true

[group.web.router.public]
interface = "enp0s3"
vrid = 56
addresses = ["192.168.56.10/24"]

[group.web.router.gateway]
interface = "enp0s8"
vrid = 200
addresses = ["192.168.200.250/24"]

[virtual_server.www]
address = "192.168.56.10:80"
protocol = "tcp"
scheduler = "wrr"
forwarding = "masquerade"
check = { type = "http", path = "/", status = "200-399", interval = "1s", timeout = "1s", rise = 1, fall = 1 }

[[virtual_server.www.real_server]]
address = "192.168.200.11:80"
weight = 3

[[virtual_server.www.real_server]]
address = "192.168.200.12:80"
weight = 1

[[virtual_server.www.real_server]]
address = "192.168.200.13:80"
weight = 1
`

// The names in ReferenceConfig.
const (
	ReferenceGroup         = "web"
	ReferenceVirtualServer = "www"
)
