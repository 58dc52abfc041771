import button from '../../components/button.module.css';
import styles from './behaviours.module.css';

interface Behaviour {
  readonly path: string;
  readonly does: string;
}

/** One of each, with figures that are quick to watch. */
const BEHAVIOURS: readonly Behaviour[] = [
  { path: '/', does: 'Echo with a random suffix' },
  { path: '/plain', does: 'Exact echo' },
  { path: '/info', does: 'Tells first what it knows of the handshake' },
  { path: '/delay/200ms', does: 'Replies 200 ms late' },
  { path: '/stall/5/2s', does: 'Freezes for 2 s at every 5th message' },
  { path: '/silent', does: 'Reads, never replies' },
  { path: '/swallow/3', does: 'Swallows every 3rd reply' },
  { path: '/duplicate/3', does: 'Sends every 3rd reply twice' },
  { path: '/corrupt/3', does: 'Alters every 3rd reply' },
  { path: '/reorder/2', does: 'Swaps every 2nd reply with the next' },
  { path: '/fragment/8', does: 'Replies in frames of 8 bytes' },
  { path: '/burst/5', does: '5 replies to each message' },
  { path: '/close/4000/enough', does: 'Closes with a code and a reason' },
  { path: '/drop/3', does: 'Cuts TCP after 3 messages' },
  { path: '/status/503', does: 'Refuses the handshake' },
  { path: '/rpc', does: 'Answers JSON-RPC 2.0' },
  { path: '/room/den', does: 'Passes every message on to all in the room' },
  { path: '/ticker/1s', does: 'Pushes a number and the time every second' },
  { path: '/login/s3cret', does: 'Wants a login with that token first' },
  { path: '/quota/5', does: 'Closes at more than 5 messages a second' },
  { path: '/~delay/1s/~swallow/3/rpc', does: 'Answers late, and every 3rd call never' },
];

/** What the server does on purpose, each one click away. */
export function Behaviours({ onTry }: { onTry: (path: string) => void }) {
  return (
    <section aria-labelledby="behaviours">
      <h3 id="behaviours" className={styles.title}>
        Behaviours
      </h3>
      <p className={styles.lead}>
        Paths on which the server misbehaves on purpose, and some on which it does not echo. Connect
        the chat to one and watch what the echo verdict makes of it.
      </p>
      <ul className={styles.list}>
        {BEHAVIOURS.map(({ path, does }) => (
          <li key={path} className={styles.item}>
            <span className={styles.what}>
              <code className={styles.path}>{path}</code>
              <span className={styles.does}>{does}</span>
            </span>
            <button
              type="button"
              className={button.smallQuiet}
              aria-label={`Connect the chat to ${path}`}
              onClick={() => {
                onTry(path);
              }}
            >
              Connect
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
