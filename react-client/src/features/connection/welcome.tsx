import button from '../../components/button.module.css';
import { EchoMark } from '../../components/echo-mark';
import { commandsThatStartServer } from './server-commands';
import { StartServerHelp } from './start-server-help';
import { DEFAULT_SOCKET_URL } from './socket-url';
import styles from './welcome.module.css';

interface WelcomeProps {
  /** Of the server that has served this page; `null` where none has. */
  servedUrl?: string | null;
  onConnect?: (url: string) => void;
}

/** What stands where the conversation will be, until there is one. */
export function Welcome({ servedUrl = null, onConnect }: WelcomeProps) {
  return (
    <div className={styles.welcome}>
      <EchoMark size={56} />
      <h2 className={styles.heading}>Talk to a WebSocket</h2>
      <p className={styles.lead}>
        Connect, say something, and see what comes back: how long it took, and whether it was the
        right reply.
      </p>
      <div className={styles.help}>
        {servedUrl === null ? (
          <StartServerHelp
            lead="No server yet? This starts one on this machine:"
            commands={commandsThatStartServer(DEFAULT_SOCKET_URL)}
          />
        ) : (
          <>
            <p>
              The server of this page listens at <code>{servedUrl}</code>
            </p>
            {onConnect !== undefined && (
              <p className={styles.action}>
                <button
                  type="button"
                  className={button.quiet}
                  onClick={() => {
                    onConnect(servedUrl);
                  }}
                >
                  Connect to it
                </button>
              </p>
            )}
          </>
        )}
      </div>
    </div>
  );
}
