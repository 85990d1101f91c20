package probe

import (
	"net"
	"testing"
	"time"
)

// TestDatagrams asks a server that keeps the third datagram and alters the fifth.
func TestDatagrams(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		buffer := make([]byte, 128)
		for i := 1; ; i++ {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			switch i {
			case 3:
				continue
			case 5:
				buffer[0] = '?'
			}
			_, _ = server.WriteTo(buffer[:n], from)
		}
	}()
	target := server.LocalAddr().String()
	got, err := Datagrams(t.Context(), Load{Target: target, Every: 10 * time.Millisecond, Timeout: 4 * time.Second, For: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if got.Sent < 10 || got.Failed != 2 || got.Errors["timeout"] != 1 || got.Errors["another datagram came back"] != 1 {
		t.Errorf("%+v, want about 50 datagrams of which the third and the fifth failed", got)
	}
}
