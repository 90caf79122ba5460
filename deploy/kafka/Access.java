import java.io.*;
import java.util.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.resource.*;

/**
 * Makes the users and the access control of a Kafka what its input says. Each line is a user with a password, `user NAME
 * PASSWORD`, or a rule in the words of kafka-acls.sh. Rules of these principals that are not in the input are taken away.
 *
 * kafka-acls.sh and kafka-configs.sh would be a Java machine per line, and have a password among their arguments.
 *
 * Arguments: where Kafka listens, and a file with the login of a super user.
 */
public class Access {
    /** Kafka's own default. */
    private static final int ITERATIONS = 4096;

    public static void main(String[] args) throws Exception {
        var login = new Properties();
        try (var file = new FileReader(args[1])) {
            login.load(file);
        }
        login.put("bootstrap.servers", args[0]);
        var users = new ArrayList<UserScramCredentialAlteration>();
        var wanted = new HashSet<AclBinding>();
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            var words = line.split(" ");
            if (words[0].equals("user")) users.add(user(words[1], words[2]));
            else wanted.addAll(rules(words));
        }
        try (var admin = Admin.create(login)) {
            if (!users.isEmpty()) admin.alterUserScramCredentials(users).all().get();
            admin.createAcls(wanted).all().get();
            var ours = wanted.stream().map(rule -> rule.entry().principal()).collect(Collectors.toSet());
            var stale = admin.describeAcls(AclBindingFilter.ANY).values().get().stream()
                .filter(rule -> ours.contains(rule.entry().principal()) && !wanted.contains(rule))
                .map(AclBinding::toFilter)
                .toList();
            if (!stale.isEmpty()) admin.deleteAcls(stale).all().get();
            System.out.println(users.size() + " users, " + wanted.size() + " rules, " + stale.size() + " taken away");
        }
    }

    private static UserScramCredentialAlteration user(String name, String password) {
        return new UserScramCredentialUpsertion(
            name, new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS), password);
    }

    private static List<AclBinding> rules(String[] words) {
        String principal = null;
        AclOperation operation = null;
        PatternType pattern = null;
        var found = new ArrayList<Map.Entry<ResourceType, String>>();
        var rest = List.of(words).iterator();
        while (rest.hasNext()) {
            String word = rest.next();
            switch (word) {
                case "--add", "--force" -> { }
                case "--allow-principal" -> principal = rest.next();
                case "--operation" -> operation = operation(rest.next());
                case "--resource-pattern-type" -> pattern = PatternType.fromString(rest.next().toUpperCase());
                case "--topic" -> found.add(Map.entry(ResourceType.TOPIC, rest.next()));
                case "--group" -> found.add(Map.entry(ResourceType.GROUP, rest.next()));
                case "--transactional-id" -> found.add(Map.entry(ResourceType.TRANSACTIONAL_ID, rest.next()));
                default -> throw new IllegalArgumentException(word);
            }
        }
        var entry = new AccessControlEntry(principal, "*", operation, AclPermissionType.ALLOW);
        var rules = new ArrayList<AclBinding>();
        for (var one : found) rules.add(new AclBinding(new ResourcePattern(one.getKey(), one.getValue(), pattern), entry));
        return rules;
    }

    /** As kafka-acls.sh reads them: `DescribeConfigs`, whatever its case. */
    private static AclOperation operation(String name) {
        return AclOperation.fromString(name.replaceAll("(?<=[a-z])(?=[A-Z])", "_").toUpperCase());
    }
}
