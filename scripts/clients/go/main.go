// Say hello, receive until something ends that, and write in JSON what the user of the client gets.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

func talk(address string) (said []string) {
	ctx := context.Background()
	client, response, err := websocket.Dial(ctx, address, nil)
	if err != nil {
		if response != nil {
			return append(said, fmt.Sprintf("error, response %d", response.StatusCode))
		}
		return append(said, "error")
	}
	defer client.CloseNow()
	for range asked(address, "send", 1) {
		if err := client.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
			return append(said, describe(err))
		}
	}
	for {
		// Its documentation says so: a context that ends takes the connection with it.
		patience, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		_, data, err := client.Read(patience)
		cancel()
		if err != nil {
			return append(said, describe(err))
		}
		said = append(said, string(data))
		if len(said) == asked(address, "take", 1000) {
			client.Close(websocket.StatusNormalClosure, "")
			return said
		}
	}
}

// What a URL asks for in its query.
func asked(address, name string, otherwise int) int {
	parsed, err := url.Parse(address)
	if err != nil {
		return otherwise
	}
	count, err := strconv.Atoi(parsed.Query().Get(name))
	if err != nil {
		return otherwise
	}
	return count
}

func describe(err error) string {
	var closed websocket.CloseError
	switch {
	case errors.As(err, &closed):
		told := fmt.Sprintf("CloseError %d", closed.Code)
		if closed.Reason != "" {
			told += fmt.Sprintf(" “%s”", closed.Reason)
		}
		return told
	case errors.Is(err, context.DeadlineExceeded):
		return "context.DeadlineExceeded"
	case strings.Contains(err.Error(), "connection reset"):
		return "connection reset"
	case strings.Contains(err.Error(), "EOF"):
		return "EOF"
	}
	return "error"
}

func main() {
	json.NewEncoder(os.Stdout).Encode(talk(os.Args[1]))
}
