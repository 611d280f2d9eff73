"""Programs for network tests: a context with real reading helpers, run by the fixture `isolated`."""

from __future__ import annotations

POOLED = """
def context_and_pool(notes=None):
    from hozen_agent.context import Context
    from hozen_agent.workers.pool import ReaderPool
    from hozen_agent.reading.reader import FileReader
    from hozen_agent.redaction.redact import Redactor
    said = [] if notes is None else notes
    at, top = proc(), os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    pool = ReaderPool.start(root=top, proc=at, note=said.append, silence=5.0)
    ctx = Context(
        proc=at, root=top, sweep=sweep(at, utmp=b"/nonexistent"), redactor=Redactor(), files=FileReader(pool),
        match=lambda patterns: iter(()), note=said.append,
    )
    return ctx, pool

def sh(text):
    done = subprocess.run(text, shell=True, capture_output=True, text=True)
    assert done.returncode == 0, (text, done.stderr)
    return done.stdout

def setns(fd, kind=0x40000000):
    import ctypes
    assert ctypes.CDLL(None).setns(fd, kind) == 0

def net_of_ours():
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
"""

# A rule set of every common form, and what the stock tools are asked afterwards.
NFT = """
table inet t {
    set bad {
        type ipv4_addr; flags interval
        elements = { 192.0.2.1, 198.51.100.0/24 }
    }
    set ports {
        type inet_service
        elements = { 22, 443 }
    }
    map vm {
        type ipv4_addr : verdict
        elements = { 192.0.2.5 : drop }
    }
    chain d {
        counter drop
    }
    chain c {
        type filter hook input priority 0; policy drop;
        ct state established,related accept
        iifname "lo" accept comment "local"
        tcp dport 22 ct state new counter accept
        ip saddr @bad drop
        tcp dport @ports log prefix "web " limit rate 5/second accept
        ip saddr 10.0.0.0/8 ip daddr 192.0.2.7 udp sport 53 jump d
        meta mark 7 reject
        ip saddr vmap @vm
        ip6 saddr 2001:db8::1 drop
    }
}
table ip nat {
    chain pre {
        type nat hook prerouting priority -100
        tcp dport 80 dnat to 192.0.2.9:8080
    }
    chain post {
        type nat hook postrouting priority 100
        oifname "eth0" masquerade
    }
}
"""
FIREWALL = (
    POOLED
    + f"""
NFT = {NFT!r}
"""
    + """
def part(text):
    # what this kernel or this machine lacks is not planted, and not asked for
    return subprocess.run(text, shell=True, capture_output=True, text=True).returncode == 0

sh("ip link set lo up")
planted = dict(
    nft=subprocess.run(["nft", "-f", "-"], input=NFT, text=True, capture_output=True).returncode == 0,
    old=part("iptables-legacy -A INPUT -p tcp --dport 22 -s 10.1.0.0/16 -i lo -j ACCEPT && iptables-legacy -N evil && "
             "iptables-legacy -A INPUT ! -s 192.0.2.1 -m comment --comment 'x y' -j evil && "
             "iptables-legacy -A evil -p udp --sport 53:60 -j DROP && iptables-legacy -P FORWARD DROP && "
             "iptables-legacy -t nat -A POSTROUTING -o eth+ -j MASQUERADE && "
             "ip6tables-legacy -A INPUT -s 2001:db8::/32 -j DROP"),
    ipset=part("ipset create x hash:ip && ipset add x 192.0.2.3 && ipset create y hash:net,port && "
               "ipset add y 10.0.0.0/8,tcp:80"),
    policy=part("ip xfrm policy add src 10.0.0.0/24 dst 10.1.0.0/24 dir out tmpl src 192.0.2.1 dst 192.0.2.2 "
                "proto esp reqid 5 mode tunnel"),
    state=part("ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1 reqid 5 mode tunnel "
               "auth 'hmac(sha1)' 0x4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b enc 'cbc(aes)' "
               "0x4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b"),
    tc=part("tc qdisc add dev lo clsact && tc qdisc add dev lo root handle 1: htb && "
            "tc class add dev lo parent 1: classid 1:1 htb rate 1mbit"),
    conntrack=part("conntrack -I -p tcp -s 192.0.2.1 -d 192.0.2.2 --sport 10 --dport 20 --state ESTABLISHED "
                   "--timeout 1000 -u ASSURED"),
)
"""
)
