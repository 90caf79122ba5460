import java.io.*;
import java.util.*;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.resource.*;

/** Adds access control rules, each line of the input in the words of kafka-acls.sh. */
public class Apply {
    public static void main(String[] args) throws Exception {
        var login = new Properties();
        login.load(new FileReader(args[1]));
        login.put("bootstrap.servers", args[0]);
        var rules = new ArrayList<AclBinding>();
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) rules.addAll(rules(line.split(" ")));
        try (var admin = Admin.create(login)) {
            admin.createAcls(rules).all().get();
        }
    }

    static List<AclBinding> rules(String[] words) {
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
                case "--operation" -> operation = SecurityNames.operation(rest.next());
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
}

class SecurityNames {
    /** As kafka-acls.sh reads them: `DescribeConfigs`, whatever its case. */
    static AclOperation operation(String name) {
        return AclOperation.fromString(name.replaceAll("(?<=[a-z])(?=[A-Z])", "_").toUpperCase());
    }
}
